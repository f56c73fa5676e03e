/** The page's one connection, tied to its clock and its session. */

import * as rest from '@/api/rest'
import { hearServerTime } from '@/time/clock'
import { Connection } from './connection'

const url = () => `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws`

let signedOut: () => void = () => undefined

/** Say what to do when the websocket, or the question after it failed, finds that we are not logged in. */
export function whenSignedOut(handler: () => void): void {
  signedOut = handler
}

async function ask(): Promise<void> {
  try {
    if ((await rest.session()) === null) signedOut()
  } catch (error) {
    // the server is away, which the connection's own state shows
    console.debug('session unknown while the server is away', error)
  }
}

export const connection = new Connection(url, hearServerTime, () => signedOut(), () => void ask())
