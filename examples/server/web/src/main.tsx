import './styles.css'
import './theme.ts'
import { render } from 'preact'
import { start } from './api/session.ts'
import { App } from './app.tsx'

const place = document.getElementById('page')
if (place) render(<App />, place)
void start()
