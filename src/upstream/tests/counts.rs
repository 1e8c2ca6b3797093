use proptest::prelude::*;
use proptest::sample::select;

use super::super::count::Count;
use super::super::places::Places;

#[derive(Clone, Copy, Debug)]
enum Step {
    Take,
    TakeFurther,
    Leave,
    Wait,
    WaitFurther,
    WaitNoLonger,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{Leave, Take, TakeFurther, Wait, WaitFurther, WaitNoLonger};
    let all = vec![Take, TakeFurther, Leave, Wait, WaitFurther, WaitNoLonger];
    prop::collection::vec(select(all), 0..200)
}

proptest! {
    #[test]
    fn whatever_the_order_no_more_places_are_given_than_there_are_and_all_come_back(
        steps in steps(), most in 1..5_u32, may_wait in 0..4_u32,
    ) {
        let places = Places::new();
        let (mut taken, mut waiting) = (0, 0);
        for step in steps {
            match step {
                Step::Take => {
                    let free = taken < most;
                    prop_assert_eq!(places.take(most), free);
                    taken += u32::from(free);
                }
                Step::TakeFurther => {
                    places.take_further();
                    taken += 1;
                }
                Step::Leave if taken > 0 => {
                    taken -= 1;
                    prop_assert_eq!(places.leave(), waiting > 0);
                }
                Step::Wait => {
                    let few = waiting < may_wait;
                    prop_assert_eq!(places.wait(may_wait), few);
                    waiting += u32::from(few);
                }
                Step::WaitFurther => {
                    places.wait_further();
                    waiting += 1;
                }
                Step::WaitNoLonger if waiting > 0 => {
                    waiting -= 1;
                    prop_assert_eq!(places.wait_no_longer(), waiting > 0);
                }
                Step::Leave | Step::WaitNoLonger => {}
            }
            prop_assert_eq!(places.are_wanted(), waiting > 0);
        }
        for _ in 0..waiting {
            places.wait_no_longer();
        }
        for _ in 0..taken {
            prop_assert!(!places.leave());
        }
        let given = (0..=most).filter(|_| places.take(most)).count();
        prop_assert_eq!(given, most as usize);
    }

    #[test]
    fn whatever_the_order_no_more_is_counted_than_may_be_and_nothing_stays(
        steps in prop::collection::vec((any::<bool>(), 1..4_u64), 0..200), most in 0..9_u64,
    ) {
        let count = Count::new();
        let mut taken = Vec::new();
        for (takes, number) in steps {
            let sum: u64 = taken.iter().sum();
            if takes {
                prop_assert_eq!(count.take(number, most), sum + number <= most);
                taken.extend((sum + number <= most).then_some(number));
            } else if let Some(number) = taken.pop() {
                count.give_back(number);
            }
        }
        taken.into_iter().for_each(|number| count.give_back(number));
        prop_assert!(count.take(most, most));
        prop_assert!(!count.take(1, most));
    }
}
