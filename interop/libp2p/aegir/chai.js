import { assert, expect, should, use } from 'chai'
import asPromised from 'chai-as-promised'
import bites from 'chai-bites'
import parentheses from 'chai-parentheses'
import string from 'chai-string'
import subset from 'chai-subset'

// Each wraps what the ones before it have added.
for (const plugin of [asPromised, parentheses, subset, bites, string]) use(plugin)

export { assert, expect, should, use }
