// Markup from templates: what is put into one is escaped, unless it is markup itself.

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

/** A template of markup. Lists are joined; undefined, null and false leave nothing. */
export function html(strings, ...values) {
  return new Markup(String.raw({ raw: strings }, ...values.map(filled)))
}

/** Text that is known to be markup, or a style sheet. */
export function trusted(text) {
  return new Markup(text)
}

function filled(value) {
  if (Array.isArray(value)) return value.map(filled).join('')
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Markup) return value.toString()
  return String(value).replaceAll(/[&<>"']/g, (character) => ESCAPES[character])
}
