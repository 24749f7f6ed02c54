// One copy of the package, however it is loaded.
export * from './dist/index.js'
