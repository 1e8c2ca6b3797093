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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("the one that stays", std::future::pending());
        tasks.spawn("the one that ends", async {});
        assert_eq!(tasks.ended().await, "the one that ends");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_noticed() {
        let mut tasks = Tasks::default();
        tasks.spawn("the one that stays", std::future::pending());
        tasks.spawn("the one that panics", async { panic!("as it should") });
        assert_eq!(tasks.ended().await, "a task that panicked");
    }
}
