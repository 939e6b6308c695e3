/**
 * The engine of this environment (the main thread, or one worker), created for the first swarm. If the package is
 * loaded twice, each copy has its own engine.
 */
import { native } from './addon.ts'
import { Engine } from './engine.ts'

let engine: Engine | undefined

/** Returns the engine of this environment. */
export function environment(): Engine {
  engine ??= new Engine(native)
  return engine
}

export { native }
