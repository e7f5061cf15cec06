//! Measurements of the machine: processor time, peak memory, peak speed.

/// Seconds of processor time of this process.
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Peak memory of the process, in kibibytes.
pub fn peak_memory() -> i64 {
    // SAFETY: all-zero is a valid rusage, and the pointer is to one of our own.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage.ru_maxrss
    }
}

/// Floating-point operations per second of one core: independent fused multiply-adds in registers.
#[cfg(target_arch = "x86_64")]
pub fn peak() -> f64 {
    use std::arch::x86_64::*;
    #[target_feature(enable = "avx2,fma")]
    fn avx2(rounds: u64) -> (f32, f64) {
        let (a, mut sums) = (_mm256_set1_ps(0.999_9), [_mm256_set1_ps(1.0); 12]);
        for _ in 0..rounds {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(*sum, a, a));
        }
        let sum = sums.into_iter().fold(_mm256_setzero_ps(), |total, sum| _mm256_add_ps(total, sum));
        (_mm256_cvtss_f32(sum), rounds as f64 * 12.0 * 16.0)
    }
    #[target_feature(enable = "avx512f")]
    fn avx512(rounds: u64) -> (f32, f64) {
        let (a, mut sums) = (_mm512_set1_ps(0.999_9), [_mm512_set1_ps(1.0); 12]);
        for _ in 0..rounds {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(*sum, a, a));
        }
        let sum = sums.into_iter().fold(_mm512_setzero_ps(), |total, sum| _mm512_add_ps(total, sum));
        (_mm512_cvtss_f32(sum), rounds as f64 * 12.0 * 32.0)
    }
    let run = || {
        let start = cpu_seconds();
        let rounds = 20_000_000;
        // SAFETY: each only where the processor has the instructions.
        let (sum, operations) = unsafe {
            if is_x86_feature_detected!("avx512f") {
                avx512(rounds)
            } else if is_x86_feature_detected!("fma") {
                avx2(rounds)
            } else {
                (0.0, f64::NAN)
            }
        };
        std::hint::black_box(sum);
        operations / (cpu_seconds() - start)
    };
    (0..3).map(|_| run()).fold(0.0, f64::max)
}

#[cfg(not(target_arch = "x86_64"))]
pub fn peak() -> f64 {
    f64::NAN
}
