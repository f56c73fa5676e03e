import { readFileSync } from 'node:fs'
import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * Put the theme's script into the head as a file of its own, run before the first paint.
 *
 * A module script would run too late (a flash of the wrong theme), an inline one is refused by the
 * content security policy.
 */
function themeScript(): Plugin {
  const source = here('./src/shell/theme-boot.js')
  const tag = (src: string) => [{ tag: 'script', attrs: { src }, injectTo: 'head-prepend' as const }]
  let emitted = ''
  return {
    name: 'apsis-theme-script',
    buildStart() {
      if (this.meta.watchMode || !this.environment || this.environment.mode !== 'build') return
      emitted = this.emitFile({ type: 'asset', name: 'theme.js', source: readFileSync(source, 'utf8') })
    },
    transformIndexHtml: {
      order: 'post',
      handler(_html, context) {
        if (!context.bundle) return tag('/src/shell/theme-boot.js')
        const file = Object.values(context.bundle).find((item) => item.type === 'asset' && item.names.includes('theme.js'))
        if (!file || !emitted) throw new Error('the theme script is missing from the bundle')
        return tag(`/${file.fileName}`)
      },
    },
  }
}

export default defineConfig({
  plugins: [vue(), themeScript()],
  resolve: { alias: { '@': here('./src') } },
  define: { __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false' },
  build: {
    outDir: here('../apsis_web/static'),
    emptyOutDir: true,
    // an inlined file would be a data: address, which the content security policy does not admit for all kinds
    assetsInlineLimit: 0,
    target: 'es2022',
    reportCompressedSize: true,
  },
  server: {
    proxy: { '/api': { target: process.env.APSIS_SERVER ?? 'http://127.0.0.1:5883', ws: true } },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
} as Parameters<typeof defineConfig>[0])
