//! Random numbers that are a function of where they are drawn, not of what was drawn before: one generator per alert,
//! seeded by (seed, stream, number). SplitMix64 (Steele, Lea and Flood 2014). Not for cryptography.

/// Increment of SplitMix64: 2^64 divided by the golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a generator is for: streams of one seed are independent of each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The alert with this number.
    Alert = 1,
    /// The exposure with this number.
    Exposure = 2,
    /// The stamps that the simulator makes when it is built.
    Stamps = 3,
    /// The known object with this number.
    Target = 4,
    /// The records that the simulator makes when it is built.
    Records = 5,
}

/// A generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The output function of SplitMix64: a bijection of 64 bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The generator of `number` in `stream`.
    pub(crate) fn new(seed: u64, stream: Stream, number: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(GAMMA.wrapping_mul(stream as u64))) ^ mix(number.wrapping_add(GAMMA))))
    }

    /// 64 uniform bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.bits() >> 40) as f32 * (1.0 / (1u32 << 24) as f32);
        low + (high - low) * unit
    }

    /// Uniform in 0..bound; `bound` is small, so that the bias of the multiplication (bound / 2^32) does not matter.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Nearly normal, mean 0 and deviation 1: the sum of four uniform numbers, which never leaves ±3.47.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.bits();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        // Four uniform numbers over 0..65536 have the mean 131,072 and the deviation 65,536 / sqrt(3).
        (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_stream_and_number_only() {
        let first = |seed, stream, number| Random::new(seed, stream, number).bits();
        assert_eq!(first(1, Stream::Alert, 2), first(1, Stream::Alert, 2));
        assert_ne!(first(1, Stream::Alert, 2), first(2, Stream::Alert, 2));
        assert_ne!(first(1, Stream::Alert, 2), first(1, Stream::Exposure, 2));
        assert_ne!(first(1, Stream::Alert, 2), first(1, Stream::Alert, 3));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(7, Stream::Alert, 0);
        let count = 200_000;
        let (mut unit, mut normal, mut square) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            unit += random.unit();
            let value = f64::from(random.normal());
            normal += value;
            square += value * value;
        }
        let count = f64::from(count);
        assert!((unit / count - 0.5).abs() < 0.005);
        assert!((normal / count).abs() < 0.01);
        assert!((square / count - 1.0).abs() < 0.02);
        assert!((0..1000).all(|_| random.below(7) < 7));
    }
}
