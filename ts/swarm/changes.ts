/** Changes that are told one after the other, also if telling one causes the next. */
export class Changes<Change> {
  readonly #tell: (change: Change) => void
  readonly #waiting: Change[] = []
  #isTelling = false

  constructor(tell: (change: Change) => void) {
    this.#tell = tell
  }

  /** Tells `change`, after the one that is being told. */
  add(change: Change): void {
    this.#waiting.push(change)
    if (this.#isTelling) return
    this.#isTelling = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#tell(next)
    }
    this.#isTelling = false
  }
}
