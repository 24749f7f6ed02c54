import { defineConfig } from 'vite'
import { sourceHash } from './source-hash.mjs'

// While working on the page, `npx vite` shows it with the API of a server that runs at SERVER.
const server = process.env.SERVER ?? 'http://127.0.0.1:8080'
const api = ['/auth', '/videos', '/scenes', '/search', '/people', '/files', '/events', '/health', '/models']

const keepHash = {
  name: 'keep-source-hash',
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'source.sha256', source: `${sourceHash()}\n` })
  },
}

export default defineConfig({
  plugins: [keepHash],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    // The first with light-dark().
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    outDir: 'dist',
    // Everything is a file of its own: the policy of the page allows no data in its style.
    assetsInlineLimit: 0,
    modulePreload: false,
    sourcemap: false,
  },
  server: { proxy: Object.fromEntries(api.map((path) => [path, { target: server, changeOrigin: true }])) },
})
