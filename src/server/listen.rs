//! Sockets: one listener per thread, all on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::base::limits::LISTEN_BACKLOG;

/// Binds `count` listeners to one address, between which the kernel shares out new connections. Port 0 takes a
/// free port; the address that was bound is returned.
///
/// # Errors
/// The address is not this machine's, or is in use.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        // A shared port would silently let a second process in beside a first one of the same user.
        drop(TcpListener::bind(address)?);
    }
    let first = bind_shared(address)?;
    let bound = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind_shared(bound)?);
    }
    Ok((bound, listeners))
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_share_the_one_free_port() {
        let (address, listeners) = bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(listeners.len(), 3);
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
    }

    #[test]
    fn a_second_process_cannot_join_the_port() {
        let (address, _listeners) = bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
