//! Asks many questions at once, each in a thread: of a resolver, of hosts, of programs.
//!
//! A question that is never answered keeps its thread, so that a round ends without it.
//! What the questions are, and what follows from the answers, is not known here.
#![forbid(unsafe_code)]

use super::interrupt::{lock, wait_on};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How many questions are open at once while they are answered.
const AT_ONCE: usize = 64;
/// How many can be where they are not.
const MOST_AT_ONCE: usize = 512;
/// After so long without an answer, more questions are asked.
const STALLED: Duration = Duration::from_millis(300);

/// When questions are given up.
#[derive(Clone, Copy)]
pub enum Limit {
    /// All of them at this time.
    Until(Instant),
    /// Those that are open, when none was answered for so long.
    Patience(Duration),
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate<A> {
    Answered(A),
    /// It was open for so long, and not answered.
    Unanswered(Duration),
    NotAsked,
}

/// Asks all questions; the fates are in their order. `ask` returns nothing where there
/// was no answer in time. `stop` ends the round early.
pub fn ask_all<Q, A>(
    questions: Arc<[Q]>,
    ask: impl Fn(&Q) -> Option<A> + Send + Sync + 'static,
    limit: Limit,
    stop: &dyn Fn() -> bool,
) -> Vec<Fate<A>>
where
    Q: Send + Sync + 'static,
    A: Send + 'static,
{
    let count = questions.len();
    let queue = Queue {
        states: (0..count).map(|_| State::Waiting).collect(),
        next: 0,
        unfinished: count,
        last_answer: Instant::now(),
    };
    let round = Arc::new(Round {
        questions,
        ask,
        queue: Mutex::new(queue),
        finished: Condvar::new(),
    });
    let start_threads = || {
        for _ in 0..count.min(AT_ONCE) {
            let round = round.clone();
            // With fewer threads than wanted it only takes longer.
            let _ = std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || ask_one_by_one(&round));
        }
    };
    start_threads();
    let mut threads = AT_ONCE;
    let mut queue = lock(&round.queue);
    while queue.unfinished > 0 && !stop() {
        queue = wait_on(&round.finished, queue, Some(Duration::from_millis(100)));
        let quiet = queue.last_answer.elapsed();
        match limit {
            Limit::Until(end) if Instant::now() >= end => break,
            Limit::Until(_) if quiet > STALLED && queue.next < count && threads < MOST_AT_ONCE => {
                start_threads();
                threads += AT_ONCE;
            }
            Limit::Until(_) => {}
            Limit::Patience(patience) if queue.unfinished > 0 && quiet > patience => {
                if !queue.give_up() {
                    break;
                }
                start_threads();
            }
            Limit::Patience(_) => {}
        }
    }
    // Emptied, so that no thread asks another question.
    let states = std::mem::take(&mut queue.states);
    states.into_iter().map(State::fate).collect()
}

/// A round that threads share.
struct Round<Q, F, A> {
    questions: Arc<[Q]>,
    ask: F,
    queue: Mutex<Queue<A>>,
    finished: Condvar,
}

enum State<A> {
    Waiting,
    Open(Instant),
    Closed(Fate<A>),
}

impl<A> State<A> {
    fn fate(self) -> Fate<A> {
        match self {
            State::Waiting => Fate::NotAsked,
            State::Open(since) => Fate::Unanswered(since.elapsed()),
            State::Closed(fate) => fate,
        }
    }
}

struct Queue<A> {
    /// In the order of the questions.
    states: Vec<State<A>>,
    /// The first that was not asked yet.
    next: usize,
    unfinished: usize,
    /// When one was last answered.
    last_answer: Instant,
}

impl<A> Queue<A> {
    fn take(&mut self) -> Option<usize> {
        let number = self.next;
        *self.states.get_mut(number)? = State::Open(Instant::now());
        self.next += 1;
        Some(number)
    }

    /// Records an answer, unless the question was already given up.
    fn close(&mut self, number: usize, answer: Option<A>) {
        if let Some(state @ State::Open(_)) = self.states.get_mut(number) {
            let open = std::mem::replace(state, State::Waiting);
            *state = State::Closed(answer.map_or_else(|| open.fate(), Fate::Answered));
            self.unfinished -= 1;
            self.last_answer = Instant::now();
        }
    }

    /// Gives up all open questions; returns whether there were any.
    fn give_up(&mut self) -> bool {
        let before = self.unfinished;
        for number in 0..self.next {
            self.close(number, None);
        }
        self.unfinished < before
    }
}

/// Asks one question after the other until none is left.
fn ask_one_by_one<Q, A>(round: &Round<Q, impl Fn(&Q) -> Option<A>, A>) {
    loop {
        // A statement of its own: the lock must not be held meanwhile.
        let taken = lock(&round.queue).take();
        let Some(number) = taken else { return };
        let answer = (round.ask)(&round.questions[number]);
        lock(&round.queue).close(number, answer);
        round.finished.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_in_the_order_of_the_questions() {
        let questions: Arc<[u32]> = (0..1000).collect();
        let end = Limit::Until(Instant::now() + Duration::from_secs(60));
        let fates = ask_all(questions, |n| Some(n * 2), end, &|| false);
        let expected: Vec<Fate<u32>> = (0..1000).map(|n| Fate::Answered(n * 2)).collect();
        assert_eq!(fates, expected);
    }

    #[test]
    fn a_round_ends_without_answers() {
        let hangs = |n: &u32| match n % 100 {
            0 => Some(()),
            _ => {
                std::thread::sleep(Duration::from_secs(3600));
                None
            }
        };
        let began = Instant::now();
        let questions: Arc<[u32]> = (0..1000).collect();
        let end = Limit::Until(began + Duration::from_millis(1500));
        let fates = ask_all(questions, hangs, end, &|| false);
        assert!(began.elapsed() < Duration::from_secs(30));
        let count = |is: fn(&Fate<()>) -> bool| fates.iter().filter(|f| is(f)).count();
        // More are asked as long as nothing is answered, but not all.
        assert!(count(|f| matches!(f, Fate::Unanswered(_))) > AT_ONCE);
        assert!(count(|f| *f == Fate::NotAsked) > 400);
        assert!(fates[0] == Fate::Answered(()));
    }
}
