//! Load, side by side with yardsticks.
