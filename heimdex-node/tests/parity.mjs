// Answers the queries on standard input from the library named, as JSON.
import { readFileSync } from 'node:fs'
import { open } from '../index.mjs'

const library = await open(process.argv[2], { create: false })
const queries = JSON.parse(readFileSync(0, 'utf8'))
const pages = []
for (const { query, within, ...options } of queries) {
  const span = within === undefined ? {} : { within: { start_us: within[0], end_us: within[1] } }
  pages.push(await library.search(query, { ...options, ...span }))
}
console.log(JSON.stringify(pages))
