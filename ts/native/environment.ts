/**
 * The engine of this environment (the main thread, or one worker), made when the first swarm needs it. A package that
 * a module registry has loaded again has another one, and knows nothing of the first.
 */
import { native } from './addon.ts'
import { Engine } from './engine.ts'

let engine: Engine | undefined

/** The one engine of this environment. */
export function environment(): Engine {
  engine ??= new Engine(native)
  return engine
}

export { native }
