use super::*;
use crate::store::testing;

#[path = "../../../tests/common/database.rs"]
#[allow(unreachable_pub, clippy::print_stderr)]
mod database;
use database::Database;

/// An empty store in a database of its own; the test ends where there is no Postgres.
macro_rules! open {
    () => {{
        let Some(database) = Database::make().await else { return };
        let store = PostgresStore::connect(&database.url).await.unwrap();
        (store, database)
    }};
}

async fn run(test: testing::StoreTest) {
    let (store, _database) = open!();
    test(&store).await;
    store.close().await;
}

crate::store_tests!(with run);
