// Less plugin: UIkit computes shades of its colours when it is compiled. Ours are custom properties, which have
// no value yet then; such a colour is passed through, and the shade is set by hand in uikit.less.
module.exports = {
  install(less, manager, functions) {
    for (const name of ['darken', 'lighten', 'fade', 'fadein', 'fadeout']) {
      const compute = less.functions.functionRegistry.get(name)
      functions.add(name, (colour, ...rest) => (colour && colour.rgb ? compute(colour, ...rest) : colour))
    }
  },
}
