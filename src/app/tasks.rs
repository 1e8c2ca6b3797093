//! The tasks that must run for as long as the process does.

use std::future::Future;

use tokio::task::JoinSet;

/// Tasks with names; all end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(JoinSet<&'static str>);

impl Tasks {
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.0.spawn(async move {
            task.await;
            name
        });
    }

    /// The name of one that ended by itself, which none should; pending while all run.
    pub(super) async fn ended(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "a task that panicked",
            None => std::future::pending().await,
        }
    }
}
