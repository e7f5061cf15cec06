//! The kernels: loops over slices. Each is compiled from one source for plain, AVX2 + FMA and AVX-512 processors, and the innermost loop of
//! the product also for AMX.
//!
//! All unsafe code of the engine is here: the tiles of the matrix product, and the dispatcher's call of a variant after it has detected
//! the variant's instructions.

pub mod activation;
pub mod adamw;
#[cfg(target_arch = "x86_64")]
mod amx;
pub mod attend;
pub mod bf16;
pub mod cross_entropy;
pub mod element;
pub mod level;
pub mod lookup;
pub mod math;
pub mod norm;
pub mod panels;
pub mod product;
pub mod rope;
pub mod softmax;

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(InstructionSet);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstructionSet {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Instructions {
    /// The sets of this processor, the best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 && is_x86_feature_detected!("avx512bf16") {
                if amx::is_allowed() {
                    sets.push(Self(InstructionSet::Amx));
                }
                sets.push(Self(InstructionSet::Avx512Bf16));
            }
            if avx2 && avx512 {
                sets.push(Self(InstructionSet::Avx512));
            }
            if avx2 {
                sets.push(Self(InstructionSet::Avx2));
            }
        }
        sets.push(Self(InstructionSet::Plain));
        sets
    }

    /// AMX on a processor that has everything else it needs. Tests emulate its instructions.
    #[cfg(all(test, target_arch = "x86_64"))]
    pub fn amx() -> Option<Self> {
        Self::available()
            .contains(&Self(InstructionSet::Avx512Bf16))
            .then_some(Self(InstructionSet::Amx))
    }

    /// The best set of this processor.
    pub fn best() -> Self {
        Self::available()[0]
    }
}

impl std::fmt::Display for Instructions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.0 {
            InstructionSet::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Amx => "amx",
        })
    }
}

/// Defines a kernel: `fn name<L>(arguments) body` becomes `fn name(cpu: Instructions, arguments)`, which runs the body compiled for the
/// instructions `cpu`, with `L` the [`level::Level`] of that set. A kernel `fn name<L, T>` is also generic over the [`element::Element`]
/// of its operands. Only such kernels are compiled for the bf16 instructions, which make no difference to the others.
macro_rules! kernel {
    ($(#[$attribute:meta])* pub fn $name:ident<$level:ident>($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        pub fn $name(cpu: $crate::engine::cpu::kernel::Instructions, $($argument: $type),*) $(-> $result)? {
            use $crate::engine::cpu::kernel::{InstructionSet, level};
            #[inline(always)]
            fn body<$level: level::Level>($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($argument: $type),*) $(-> $result)? { body::<level::Avx512>($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? { body::<level::Avx2>($($argument),*) }
            match cpu.0 {
                // SAFETY: an `Instructions` of a set exists only where the processor was found to have the set.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => unsafe { avx2($($argument),*) },
                InstructionSet::Plain => body::<level::Portable>($($argument),*),
            }
        }
    };
    ($(#[$attribute:meta])* pub fn $name:ident<$level:ident, $number:ident>($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        pub fn $name<$number: $crate::engine::cpu::kernel::element::Element>(
            cpu: $crate::engine::cpu::kernel::Instructions, $($argument: $type),*
        ) {
            use $crate::engine::cpu::kernel::{InstructionSet, level, element};
            #[inline(always)]
            fn body<$level: level::Level, $number: element::Element>($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
            fn avx512_bf16<$number: element::Element>($($argument: $type),*) { body::<level::Avx512Bf16, $number>($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
            fn amx<$number: element::Element>($($argument: $type),*) { body::<level::Amx, $number>($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512<$number: element::Element>($($argument: $type),*) { body::<level::Avx512, $number>($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$number: element::Element>($($argument: $type),*) { body::<level::Avx2, $number>($($argument),*) }
            match cpu.0 {
                // SAFETY: an `Instructions` of a set exists only where the processor was found to have the set.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Amx => unsafe { amx::<$number>($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512Bf16 => unsafe { avx512_bf16::<$number>($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => unsafe { avx512::<$number>($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => unsafe { avx2::<$number>($($argument),*) },
                InstructionSet::Plain => body::<level::Portable, $number>($($argument),*),
            }
        }
    };
}
use kernel;
