// HTML templates: values are escaped unless they are markup themselves.

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

class Markup {
  #text

  constructor(text) {
    this.#text = text
  }

  toString() {
    return this.#text
  }
}

/** Template tag for markup. Arrays are joined; undefined, null and false are empty. */
export function html(strings, ...values) {
  return new Markup(String.raw({ raw: strings }, ...values.map(filled)))
}

/** Marks text as markup, or as a style sheet. */
export function trusted(text) {
  return new Markup(text)
}

function filled(value) {
  if (Array.isArray(value)) return value.map(filled).join('')
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Markup) return value.toString()
  return String(value).replaceAll(/[&<>"']/g, (character) => ESCAPES[character])
}
