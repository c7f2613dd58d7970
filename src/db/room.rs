//! How much memory the values of a result may still take.

/// Why a value was not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It takes more memory than is left.
    Full,
    /// It is not what the engine gives of its type.
    Strange,
}

/// What is left.
pub struct Room {
    /// Bytes.
    pub left: usize,
}

impl Room {
    /// Takes so many bytes, before they are taken from the machine.
    pub fn take(&mut self, bytes: usize) -> Result<(), Unread> {
        self.left = self.left.checked_sub(bytes).ok_or(Unread::Full)?;
        Ok(())
    }
}
