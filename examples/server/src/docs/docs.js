// Shows what /openapi.json says, and tries requests. Texts are only ever set as text.
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

const main = document.getElementById('operations')

const nameOf = (schema) => schema?.$ref?.split('/').pop()

/** A short text of a schema, references by name. */
const text = (schema) => JSON.stringify(schema, (key, value) => value?.$ref ? nameOf(value) : value, 2)

/** An example of a schema, to begin with. */
const example = (schema, all, depth = 0) => {
  if (!schema || depth > 4) return null
  if (schema.$ref) return example(all[nameOf(schema)], all, depth + 1)
  if (schema.example !== undefined) return schema.example
  if (schema.default !== undefined) return schema.default
  if (schema.enum) return schema.enum[0]
  const kind = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (kind === 'object' || schema.properties) {
    const needed = new Set(schema.required ?? [])
    const entries = Object.entries(schema.properties ?? {}).filter(([name]) => needed.has(name))
    return Object.fromEntries(entries.map(([name, value]) => [name, example(value, all, depth + 1)]))
  }
  return { array: [], string: '', integer: schema.minimum ?? 0, number: schema.minimum ?? 0, boolean: false }[kind] ?? null
}

const operation = (path, method, described, schemas) => {
  const inside = make('div', { className: 'inside' })
  const inputs = {}
  for (const parameter of described.parameters ?? []) {
    const input = make('input', { placeholder: parameter.schema?.type ?? '' })
    inputs[parameter.name] = { input, where: parameter.in }
    inside.append(make('label', {}, `${parameter.name} (${parameter.in}${parameter.required ? ', required' : ''}) ${parameter.description ?? ''}`, input))
  }
  const bodySchema = described.requestBody?.content?.['application/json']?.schema
  let body
  if (bodySchema) {
    body = make('textarea', { value: JSON.stringify(example(bodySchema, schemas), null, 2) })
    inside.append(make('label', {}, `Body: ${nameOf(bodySchema) ?? ''}`, body))
  }
  for (const [status, answer] of Object.entries(described.responses ?? {})) {
    const [kind, content] = Object.entries(answer.content ?? {})[0] ?? []
    inside.append(make('p', {}, `${status}: ${content?.schema ? `${kind} ${nameOf(content.schema) ?? content.schema.type ?? ''}` : answer.description || 'no body'}`))
  }
  const output = make('pre', { hidden: true })
  const send = make('button', { type: 'button', textContent: 'Send' })
  send.addEventListener('click', async () => {
    let address = path
    const query = new URLSearchParams()
    for (const [name, { input, where }] of Object.entries(inputs)) {
      if (where === 'path') address = address.replace(`{${name}}`, encodeURIComponent(input.value))
      else if (input.value) query.set(name, input.value)
    }
    const headers = {}
    const token = document.getElementById('token').value
    if (token) headers.Authorization = `Bearer ${token}`
    if (body) headers['Content-Type'] = 'application/json'
    output.hidden = false
    try {
      const answer = await fetch(address + (query.size ? `?${query}` : ''), { method: method.toUpperCase(), headers, body: body?.value })
      const kind = answer.headers.get('Content-Type') ?? ''
      const content = kind.includes('json') ? JSON.stringify(await answer.json(), null, 2)
        : kind.startsWith('text/event-stream') ? '(a stream: watch it with a program)'
        : kind.startsWith('text/') ? await answer.text() : `(${kind})`
      output.textContent = `${answer.status} ${answer.statusText}\n\n${content}`
    } catch (error) {
      output.textContent = String(error)
    }
  })
  inside.append(send, output)
  return make('details', {}, make('summary', {}, make('span', { className: 'method', textContent: method.toUpperCase() }), make('code', { textContent: path }), described.summary ?? described.description ?? ''), inside)
}

try {
  const document_ = await (await fetch('/openapi.json')).json()
  const schemas = document_.components?.schemas ?? {}
  const groups = new Map()
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const [method, described] of Object.entries(item)) {
      const tag = described.tags?.[0] ?? 'other'
      if (!groups.has(tag)) groups.set(tag, [])
      groups.get(tag).push(operation(path, method, described, schemas))
    }
  }
  main.textContent = ''
  for (const [tag, operations] of groups) main.append(make('h2', { textContent: tag }), ...operations)
  main.append(make('h2', { textContent: 'Schemas' }))
  for (const [name, schema] of Object.entries(schemas)) {
    main.append(make('details', {}, make('summary', { textContent: name }), make('div', { className: 'inside' }, make('pre', { textContent: text(schema) }))))
  }
} catch (error) {
  main.textContent = `The description cannot be read: ${error}`
}
