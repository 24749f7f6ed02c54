// Writes the types of the native half from what its build noted: native.types.mjs FOLDER
import { writeFile } from 'node:fs/promises'
import { generateTypeDef } from '@napi-rs/cli'

const cwd = import.meta.dirname
const { dts } = await generateTypeDef({ typeDefDir: process.argv[2], cwd, dtsHeaderFile: 'native.header.txt' })
await writeFile(new URL('native.d.ts', import.meta.url), dts)
