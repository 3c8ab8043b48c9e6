//! Every key and every page of one tree, for whoever has to name or count what there is.

use super::{Draft, Error, Pages, Step};
use crate::base::secret::Key;
use crate::keys::page::{FANOUT, Page, Tree};
use crate::keys::tally::Version;

impl<P: Pages> Draft<'_, P> {
    /// Shows the keys of all pages and of all entries of a tree, changes included. The tree must be one that no other
    /// hangs on.
    pub fn each_key(&self, tree: Tree, show: &mut dyn FnMut(&Key)) -> Result<(), Error> {
        let Some(pointer) = self.pointer(tree)? else { return Ok(()) };
        let height = super::height(pointer.extra)?;
        self.below(&Step::top(tree, height, pointer), show)
    }

    fn below(&self, step: &Step, show: &mut dyn FnMut(&Key)) -> Result<(), Error> {
        show(&step.key);
        for number in 0..FANOUT {
            let Some(entry) = self.entry_at(step, number as u8)? else { continue };
            match step.id.level {
                0 => show(&entry.key),
                level => {
                    // Any position below this child leads to it.
                    let first = (step.id.index * FANOUT + number) * super::capacity(level);
                    self.below(&step.down(first, entry), show)?;
                }
            }
        }
        Ok(())
    }

    /// Shows every stored page of a tree, without those of the trees that hang on it.
    pub fn each_page(&self, tree: Tree, show: &mut dyn FnMut(Version, &Page)) -> Result<(), Error> {
        let Some(pointer) = self.pointer(tree)? else { return Ok(()) };
        let height = super::height(pointer.extra)?;
        self.pages_below(&Step::top(tree, height, pointer), show)
    }

    fn pages_below(&self, step: &Step, show: &mut dyn FnMut(Version, &Page)) -> Result<(), Error> {
        let page = self.pages.glance(step.id, step.generation, &|| step.key.duplicate())?;
        show(Version { id: step.id, generation: step.generation, seals: page.seals() }, &page);
        if step.id.level == 0 {
            return Ok(());
        }
        for number in 0..FANOUT {
            let Some(entry) = page.entry(number as u8) else { continue };
            let first = (step.id.index * FANOUT + number) * super::capacity(step.id.level);
            self.pages_below(&step.down(first, entry), show)?;
        }
        Ok(())
    }
}
