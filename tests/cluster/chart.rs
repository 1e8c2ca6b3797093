//! The charts on the real API server, by real Helm: installed, upgraded, rolled back, uninstalled.

mod accepted;
mod definition;
mod first_ingress;
mod installed;
mod owners;
mod pipelines;
mod release;
mod scaled;
mod upgraded;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    let topics = [
        definition::trials(),
        installed::trials(),
        scaled::trials(),
        owners::trials(),
        accepted::trials(),
        first_ingress::trials(),
        upgraded::trials(),
        pipelines::trials(),
    ];
    topics.into_iter().flatten().collect()
}
