//! What all tokens with vectors share: entering code that is compiled for the instruction set.

/// Implements [`crate::arch::Isa`] for a token by the loops of [`crate::arch::vector`].
///
/// Each method is a safe function that enables the features; the token proves that the processor has them. Products of
/// int8 are those of the module `int8` where the macro is used.
macro_rules! vector_isa {
    ($token:ident: $id:ident, features $features:literal, vectors $vector:ty) => {
        impl $token {
            /// The token with so many threads.
            #[must_use]
            pub fn with(self, threads: Threads) -> Self {
                Self { threads }
            }
        }

        impl $crate::arch::Isa for $token {
            const ID: $crate::arch::IsaId = $crate::arch::IsaId::$id;
            type Layout = $crate::arch::layout::Plain;

            fn layout(self) -> Self::Layout {
                $crate::arch::layout::Plain
            }

            fn split<const N: usize>(
                self,
                items: usize,
                cost: usize,
                slices: [(&mut [f32], usize); N],
                task: impl Fn(core::ops::Range<usize>, [&mut [f32]; N]) + Sync,
            ) {
                self.threads.split(items, cost, slices, task);
            }

            fn alone(self) -> Self {
                self.with(Threads::ONE)
            }

            vector_isa!{ @methods $token $features
                fn dot_f32(init: f32, a: &[f32], b: &[f32]) -> f32 = loops::dot::<$vector>;
                fn dot_i8(init: i32, x: &[i8], w: &[i8]) -> i32 = int8::dot_i8;
                fn matvec_i8(x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) = int8::matvec_i8;
                fn axpy_f32(a: f32, x: &[f32], y: &mut [f32]) = loops::axpy::<$vector>;
                fn clamp_f32(lo: f32, hi: f32, y: &mut [f32]) = loops::clamp::<$vector>;
                fn accumulate_f32(x: &[f32], y: &mut [f32]) = loops::accumulate::<$vector>;
                fn peak_f32(rounds: usize) -> u64 = loops::peak::<$vector>;
                fn max_f32(x: &[f32], y: &mut [f32]) = loops::max::<$vector>;
                fn greatest_f32(patch: &$crate::arch::Patch, x: &[f32], y: &mut [f32]) = pool::greatest::<$vector>;
                fn add_to_greatest_f32(patch: &$crate::arch::Patch, x: &[f32], dy: &[f32], dx: &mut [f32])
                    = pool::add_to_greatest::<$vector>;
                fn pool_f32(pools: &$crate::arch::Pools, lo: f32, hi: f32, x: &[f32], y: &mut [f32], places: &mut [f32])
                    = pool::pool::<$vector>;
                fn unpool_f32(
                    pools: &$crate::arch::Pools, dy: &[f32], places: &[f32], dx: &mut [f32], sums: &mut [f32])
                    = pool::unpool::<$vector>;
                fn window_f32(window: &$crate::arch::Window, a: &[f32], b: &[f32], y: &mut [f32])
                    = window::window::<$vector>;
                fn windows_f32(windows: &$crate::arch::Windows, a: &[f32], b: &[f32], y: &mut [f32])
                    = window::windows::<$vector>;
                fn windows_backward_f32(windows: &$crate::arch::Windows, a: &[f32], dy: &[f32], db: &mut [f32])
                    = window::windows_backward::<$vector>;
                fn column_sums_f32(of: $crate::arch::Columns, x: &[f32], sums: &mut [f32]) = norm::sums::<$vector>;
                fn column_squares_f32(of: $crate::arch::Columns, x: &[f32], mean: &[f32], squares: &mut [f32])
                    = norm::squares::<$vector>;
                fn scale_shift_f32(x: Option<&[f32]>, scale: &[f32], shift: &[f32], lo: f32, hi: f32, y: &mut [f32])
                    = norm::scale_shift::<$vector>;
                fn norm_gradients_f32(of: $crate::arch::Columns, seen: &$crate::arch::Normalised<'_>, dy: &[f32],
                    dgamma: &mut [f32], dbeta: &mut [f32]) = norm::gradients::<$vector>;
                fn norm_input_f32(seen: &$crate::arch::Normalised<'_>, count: f32, dgamma: &[f32], dbeta: &[f32],
                    dy: &mut [f32]) = norm::input::<$vector>;
                fn sgd_f32(o: &Optimizer, g: &[f32], w: &mut [f32]) = loops::sgd::<$vector>;
                fn momentum_f32(o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32])
                    = loops::momentum::<$vector>;
                fn adagrad_f32(o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) = loops::adagrad::<$vector>;
                fn adam_f32(o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32])
                    = loops::adam::<$vector>;
            }

            fn gemm_f32(self, shape: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
                // SAFETY: `self` exists only where its `new` has found the vector's features.
                unsafe { gemm::gemm::<$vector>(self.threads, shape, a, b, c) }
            }

            fn fold_f32(self, shape: &Gemm, folds: $crate::arch::Folds, a: &[f32], b: &[f32], c: &mut [f32]) {
                // SAFETY: as above.
                unsafe { gemm::fold::<$vector>(shape, folds, a, b, c) }
            }

            fn vectorize<R>(self, body: impl FnOnce() -> R) -> R {
                #[target_feature(enable = $features)]
                fn enter<R>(body: impl FnOnce() -> R) -> R {
                    body()
                }
                // SAFETY: `self` exists only where its `new` has found these features.
                unsafe { enter(body) }
            }
        }
    };
    (@methods $token:ident $features:literal
        $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $body:path;)*) => {
        $(
            fn $name(self, $($argument: $type),*) $(-> $result)? {
                #[target_feature(enable = $features)]
                fn enter($($argument: $type),*) $(-> $result)? {
                    // SAFETY: this function is compiled for the features that the body's instructions need.
                    #[allow(unused_unsafe, reason = "a token without an instruction of its own takes the definition")]
                    unsafe {
                        $body($($argument),*)
                    }
                }
                // SAFETY: `self` exists only where its `new` has found these features.
                unsafe { enter($($argument),*) }
            }
        )*
    };
}
