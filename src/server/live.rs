//! A value read from files that can be read again while it is in use.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The current value, and how to load the next.
///
/// INVARIANT: there is always a sound value. A load that fails keeps the old one and says why.
pub struct Live<T, E> {
    current: ArcSwap<T>,
    load: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
}

impl<T, E> Live<T, E> {
    /// Loads the first value.
    ///
    /// # Errors
    /// Whatever `load` says.
    pub fn start(load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Result<Self, E> {
        Ok(Self { current: ArcSwap::from_pointee(load()?), load: Box::new(load) })
    }

    /// The value as it is now.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Reads the files again, and puts what they say in force once `agreed` has agreed to it.
    ///
    /// # Errors
    /// Whatever `load` and `agreed` say; the old value stays.
    pub fn reload_once<F: From<E>>(&self, agreed: impl FnOnce(&Arc<T>) -> Result<(), F>) -> Result<(), F> {
        let next = Arc::new((self.load)()?);
        agreed(&next)?;
        self.current.store(next);
        Ok(())
    }

    /// Reads the files again. Callers that hold the old value keep it.
    ///
    /// # Errors
    /// Whatever `load` says; the old value stays.
    pub fn reload(&self) -> Result<(), E> {
        self.current.store(Arc::new((self.load)()?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI32, Ordering};

    #[test]
    fn a_failed_reload_keeps_the_old_value() {
        let file = Arc::new(AtomicI32::new(1));
        let source = file.clone();
        let load = move || match source.load(Ordering::SeqCst) {
            number if number > 0 => Ok(number),
            number => Err(number),
        };
        let live = Live::start(load).unwrap();
        file.store(-1, Ordering::SeqCst);
        assert_eq!((live.reload(), *live.current()), (Err(-1), 1));
        file.store(2, Ordering::SeqCst);
        assert_eq!((live.reload(), *live.current()), (Ok(()), 2));
        file.store(3, Ordering::SeqCst);
        assert_eq!((live.reload_once(|next| Err::<(), i32>(**next * 10)), *live.current()), (Err(30), 2));
        assert_eq!((live.reload_once(|_| Ok::<(), i32>(())), *live.current()), (Ok(()), 3));
    }
}
