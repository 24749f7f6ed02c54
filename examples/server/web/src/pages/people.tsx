// People, as far as the server knows any.

import { useEffect, useState } from 'preact/hooks'
import { people } from '../api/client.ts'
import { Failure, isAbort } from '../api/problem.ts'
import { Broken, Empty, PageTitle, Skeletons } from '../parts/common.tsx'
import { text } from '../strings.ts'

const NOT_IMPLEMENTED = 501

export function People() {
  const [failure, setFailure] = useState<unknown>(null)
  const [answered, setAnswered] = useState(false)
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    const stop = new AbortController()
    people(stop.signal).then(
      () => setAnswered(true),
      (error: unknown) => {
        if (!isAbort(error)) setFailure(error)
      },
    )
    return () => stop.abort()
  }, [attempt])
  const unavailable = failure instanceof Failure && failure.status === NOT_IMPLEMENTED
  return (
    <main id="main" class="page">
      <header class="page-head">
        <PageTitle>{text.people.title}</PageTitle>
      </header>
      {unavailable ? (
        <Empty icon="people" title={text.people.unavailable}>
          <p>{failure.message}</p>
        </Empty>
      ) : failure ? (
        <Broken
          error={failure}
          onRetry={() => {
            setFailure(null)
            setAttempt(attempt + 1)
          }}
        />
      ) : answered ? (
        <Empty icon="people" title={text.people.none} />
      ) : (
        <Skeletons count={4} class="grid" />
      )}
    </main>
  )
}
