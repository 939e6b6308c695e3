/** Why there is no addon, as one sentence: the platform, what was looked for, and what to do. */

/** Where it says how the addon is built. */
const SOURCES = 'https://github.com/ferroswarm/ferroswarm'
/** What the release builds for, and checks; tools/glibc.mjs has the same. */
const GLIBC_MIN = '2.28'
/** As napi names targets; a test compares them with package.json. */
export const PLATFORMS: readonly string[] = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc'
]

/** A candidate that is not there; everything else was there and could not be loaded. */
const ABSENT = /^Cannot find (?:module|package) '([^']+)'/

/** The addon could not be loaded; `code` is `ERR_ADDON`. */
export class AddonError extends Error {
  static {
    Object.defineProperty(AddonError.prototype, 'name', {
      value: 'AddonError',
      configurable: true,
      writable: true
    })
  }

  readonly code = 'ERR_ADDON'
  readonly kind = 'environment'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    // The frames are those of loading a module, at whoever imports it first.
    this.stack = `${this.name}: ${message}`
  }
}

/**
 * What to throw for an error of the generated binding, which tries one candidate after the other and chains what each
 * of them threw.
 */
export function addonError(err: unknown, platform = currentPlatform()): AddonError {
  const chain = causes(err)
  const tried = chain.map(firstLine)
  const broken = chain.find((each) => isFault(firstLine(each)))
  return new AddonError(
    sentence(platform, tried, broken && firstLine(broken)),
    broken === undefined ? {} : { cause: broken }
  )
}

function sentence(platform: string, tried: readonly string[], broken: string | undefined): string {
  if (!PLATFORMS.includes(platform)) {
    return (
      `ferroswarm has no native addon for ${platform}, only for ${PLATFORMS.join(', ')}: run it on one of ` +
      `these, or build it from ${SOURCES}`
    )
  }
  if (broken !== undefined && /GLIBC_\d/.test(broken)) {
    return (
      `ferroswarm's native addon for ${platform} needs a newer glibc than this system has (${broken}): run it on ` +
      `glibc ${GLIBC_MIN} or newer, or build it from ${SOURCES}`
    )
  }
  if (broken !== undefined) {
    return (
      `ferroswarm's native addon for ${platform} is there and cannot be loaded (${broken}): install the packages ` +
      `again on this machine, or build it from ${SOURCES}`
    )
  }
  const sought = tried
    .map((message) => ABSENT.exec(message)?.[1])
    .filter((name) => name !== undefined && !name.includes('wasi'))
  const names = sought.length > 0 ? sought.join(' and ') : `@ferroswarm/native-${platform}`
  return (
    `ferroswarm's native addon for ${platform} is not installed: looked for ${names}; install the packages again on ` +
    'this machine, with optional dependencies (no --omit=optional, no node_modules of another platform)'
  )
}

/** Whether the message is about a candidate that exists: Node's own words for the others are known. */
function isFault(message: string): boolean {
  return !ABSENT.test(message) && !/^(?:Cannot find native binding|Unsupported )/.test(message)
}

/** What each candidate threw, the first one first, each without those before it. */
function causes(err: unknown): Error[] {
  const chain: Error[] = []
  for (let each = err; each instanceof Error; ) {
    const { cause } = each
    delete each.cause
    chain.unshift(each)
    each = cause
  }
  return chain
}

function firstLine({ message }: Error): string {
  return message.split('\n', 1)[0] ?? ''
}

/** As napi names it. */
function currentPlatform(): string {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
}

function isMusl(): boolean {
  try {
    // Not imported, for this runs where something is wrong only.
    return process.getBuiltinModule('node:fs').readFileSync('/usr/bin/ldd', 'utf8').includes('musl')
  } catch {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
    return header.glibcVersionRuntime === undefined
  }
}
