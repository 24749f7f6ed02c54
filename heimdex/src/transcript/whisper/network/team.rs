//! Threads that compute one window together.
//!
//! Decoding a token is some fifty products of tens of microseconds each, less than a sleeping thread takes to
//! wake. So members wait for the next piece of work awake, for a moment, then yield, then sleep.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;

/// How often a member looks again before it lets others run, and before it sleeps.
const SPINS: u32 = 5_000;
const YIELDS: u32 = 50;

/// Work on a task, by a member: `work(member, task)`.
type Work<'a> = dyn Fn(usize, usize) + Sync + 'a;

struct Shared {
    /// Pieces of work so far.
    round: AtomicUsize,
    work: UnsafeCell<Option<*const Work<'static>>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    /// Members that have not finished this round.
    busy: AtomicUsize,
    /// A member has panicked.
    failed: AtomicBool,
    over: AtomicBool,
}

// SAFETY: `work` is written only while no member works, and read after `round` has said so.
unsafe impl Sync for Shared {}

/// Some threads, of which the calling one is the first.
pub(super) struct Team<'a> {
    shared: &'a Shared,
    sleeping: &'a [AtomicBool],
    threads: Vec<Thread>,
    /// It cannot be used by its own tasks: these may run on other threads.
    _alone: PhantomData<Cell<()>>,
}

impl Team<'_> {
    /// Runs `body` with `members` threads at hand.
    pub(super) fn with<R>(members: usize, body: impl FnOnce(&Team<'_>) -> R) -> R {
        let shared = Shared {
            round: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            over: AtomicBool::new(false),
        };
        let sleeping: Vec<_> = (1..members).map(|_| AtomicBool::new(false)).collect();
        std::thread::scope(|scope| {
            let mut handles = Vec::new();
            for (i, sleeping) in sleeping.iter().enumerate() {
                let shared = &shared;
                let thread = std::thread::Builder::new().name("heimdex-whisper".to_owned());
                // Where no more threads can be had, fewer do the same.
                match thread.spawn_scoped(scope, move || shared.serve(i + 1, sleeping)) {
                    Ok(handle) => handles.push(handle),
                    Err(_) => break,
                }
            }
            let threads = handles.iter().map(|handle| handle.thread().clone()).collect();
            let team = Team { shared: &shared, sleeping: &sleeping, threads, _alone: PhantomData };
            let end = End(&team);
            let result = body(&team);
            drop(end);
            for handle in handles {
                if let Err(panic) = handle.join() {
                    resume_unwind(panic);
                }
            }
            result
        })
    }

    /// How many they are.
    pub(super) fn members(&self) -> usize {
        self.threads.len() + 1
    }

    /// Does `tasks` pieces of work, each once; `work` is told who does it and which it is.
    pub(super) fn share(&self, tasks: usize, work: impl Fn(usize, usize) + Sync) {
        if self.threads.is_empty() || tasks < 2 {
            (0..tasks).for_each(|task| work(0, task));
            return;
        }
        let work: &Work<'_> = &work;
        // SAFETY: only the lifetime is other. Nobody uses it after `Round` has waited below.
        let forever = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let shared = self.shared;
        // SAFETY: all members wait for the round.
        unsafe { *shared.work.get() = Some(std::ptr::from_ref(forever)) };
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        shared.busy.store(self.threads.len(), Ordering::Relaxed);
        shared.round.fetch_add(1, Ordering::SeqCst);
        self.wake();
        let round = Round(shared);
        shared.run(0, work);
        drop(round);
        assert!(!shared.failed.load(Ordering::Relaxed), "another thread of the team has panicked");
    }

    /// Gives each task its part of `out`: `size` elements, the last what is left.
    pub(super) fn chunks<T: Send>(
        &self,
        out: &mut [T],
        size: usize,
        work: impl Fn(usize, usize, &mut [T]) + Sync,
    ) {
        let (length, all) = (out.len(), Parts(out.as_mut_ptr()));
        self.share(length.div_ceil(size), |member, task| {
            let first = task * size;
            // SAFETY: within `out`, and no other task has this part.
            let part = unsafe { std::slice::from_raw_parts_mut(all.at(first), size.min(length - first)) };
            work(member, task, part);
        });
    }

    fn wake(&self) {
        for (sleeping, thread) in self.sleeping.iter().zip(&self.threads) {
            if sleeping.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
    }
}

/// The beginning of what tasks have parts of.
pub(super) struct Parts<T>(pub(super) *mut T);

// SAFETY: each task has another part.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// # Safety
    /// There are more than `i` elements.
    pub(super) unsafe fn at(&self, i: usize) -> *mut T {
        // SAFETY: by contract.
        unsafe { self.0.add(i) }
    }
}

impl Shared {
    fn run(&self, member: usize, work: &Work<'_>) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            work(member, task);
        }
    }

    /// What the other threads do.
    fn serve(&self, member: usize, sleeping: &AtomicBool) {
        let mut seen = 0;
        loop {
            let mut waits = 0;
            while self.round.load(Ordering::Acquire) == seen {
                if waits < SPINS + YIELDS {
                    pause(&mut waits);
                    continue;
                }
                sleeping.store(true, Ordering::SeqCst);
                if self.round.load(Ordering::SeqCst) == seen {
                    std::thread::park();
                }
                sleeping.store(false, Ordering::SeqCst);
            }
            seen += 1;
            if self.over.load(Ordering::Acquire) {
                break;
            }
            let done = Done(self);
            // SAFETY: `share` has put it there and waits until `done` is dropped.
            if let Some(work) = unsafe { *self.work.get() } {
                // SAFETY: as above.
                self.run(member, unsafe { &*work });
            }
            drop(done);
        }
    }
}

fn pause(waits: &mut u32) {
    *waits += 1;
    if *waits < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// A member that has finished a round, by whatever way.
struct Done<'a>(&'a Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
        self.0.busy.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for the others before what they work on goes.
struct Round<'a>(&'a Shared);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let mut waits = 0;
        while self.0.busy.load(Ordering::Acquire) > 0 {
            pause(&mut waits);
            waits = waits.min(SPINS);
        }
    }
}

struct End<'a>(&'a Team<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.shared.over.store(true, Ordering::Release);
        self.0.shared.round.fetch_add(1, Ordering::SeqCst);
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_done_once() {
        for members in [1, 2, 5] {
            Team::with(members, |team| {
                for tasks in [0, 1, 2, 7, 1000] {
                    let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                    team.share(tasks, |member, task| {
                        assert!(member < members);
                        counts[task].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
                let mut parts = vec![0; 103];
                team.chunks(&mut parts, 10, |_, task, part| part.fill(task + 1));
                assert!(parts.iter().enumerate().all(|(i, part)| *part == i / 10 + 1));
            });
        }
    }

    /// Members that sleep by now are woken, for work and for the end.
    #[test]
    fn work_comes_late_too() {
        let nap = || std::thread::sleep(std::time::Duration::from_millis(20));
        Team::with(3, |team| {
            for _ in 0..3 {
                nap();
                let count = AtomicUsize::new(0);
                team.share(50, |_, _| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(count.into_inner(), 50);
            }
            nap();
        });
    }

    #[test]
    #[should_panic(expected = "panicked")]
    fn a_panic_ends_the_team() {
        Team::with(2, |team| {
            team.share(1000, |member, _| {
                std::thread::sleep(std::time::Duration::from_micros(100));
                assert_eq!(member, 0, "panicked");
            });
        });
    }
}
