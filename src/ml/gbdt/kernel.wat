;; The inner loops of training in WebAssembly with 128-bit vectors. `node scripts/build-kernel.mjs` assembles
;; this file into kernel-bytes.ts. Every function does what the function of the same name in kernel.ts does,
;; with the same floating-point operations in the same order, so that both give the same bits.
;; Pointers are positions in bytes; all arrays but bins are aligned to 16. The module is assembled twice,
;; for a memory of one thread and for a shared one, where other threads run the same loops over other columns or rows.
(module
  (import "env" "memory" (memory 1))

  ;; Bins of a row lie `columns` bytes behind those of the row before; `width` of them, from where `bins` points to, are worked on.
  ;; A (first, second) pair of derivatives is one vector: a row costs one load, and one addition for each column.
  ;; Four bins are one load of 32 bits. A column has 256 bins of 16 bytes: 4096 bytes. An addition takes 0.6 ns on
  ;; an EPYC. Tried: chunks of 256 rows through four columns at a time, whose histograms fit into the first cache:
  ;; 1.05 ns, for the rows and derivatives that are loaded again cost more than the second cache does.
  (func $addRows
    (param $histogram i32) (param $bins i32) (param $columns i32) (param $width i32) (param $derivatives i32)
    (param $rows i32) (param $count i32)
    (local $stop i32) (local $row i32) (local $at i32) (local $four i32) (local $end i32) (local $slot i32)
    (local $word i32) (local $place i32) (local $pair v128)
    (local.set $stop (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $rows) (local.get $stop)))
        (local.set $row (i32.load (local.get $rows)))
        (local.set $pair
          (v128.load (i32.add (local.get $derivatives) (i32.shl (local.get $row) (i32.const 4)))))
        (local.set $at (i32.add (local.get $bins) (i32.mul (local.get $row) (local.get $columns))))
        (local.set $end (i32.add (local.get $at) (local.get $width)))
        (local.set $four (i32.add (local.get $at) (i32.and (local.get $width) (i32.const -4))))
        (local.set $slot (local.get $histogram))
        (block $foursDone
          (loop $nextFour
            (br_if $foursDone (i32.ge_u (local.get $at) (local.get $four)))
            (local.set $word (i32.load align=1 (local.get $at)))
            (local.set $place
              (i32.add (local.get $slot)
                (i32.and (i32.shl (local.get $word) (i32.const 4)) (i32.const 0xff0))))
            (v128.store (local.get $place)
              (f64x2.add (v128.load (local.get $place)) (local.get $pair)))
            (local.set $place
              (i32.add (local.get $slot)
                (i32.and (i32.shr_u (local.get $word) (i32.const 4)) (i32.const 0xff0))))
            (v128.store offset=4096 (local.get $place)
              (f64x2.add (v128.load offset=4096 (local.get $place)) (local.get $pair)))
            (local.set $place
              (i32.add (local.get $slot)
                (i32.and (i32.shr_u (local.get $word) (i32.const 12)) (i32.const 0xff0))))
            (v128.store offset=8192 (local.get $place)
              (f64x2.add (v128.load offset=8192 (local.get $place)) (local.get $pair)))
            (local.set $place
              (i32.add (local.get $slot)
                (i32.and (i32.shr_u (local.get $word) (i32.const 20)) (i32.const 0xff0))))
            (v128.store offset=12288 (local.get $place)
              (f64x2.add (v128.load offset=12288 (local.get $place)) (local.get $pair)))
            (local.set $slot (i32.add (local.get $slot) (i32.const 16384)))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $nextFour)))
        (block $restDone
          (loop $nextRest
            (br_if $restDone (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $place
              (i32.add (local.get $slot) (i32.shl (i32.load8_u (local.get $at)) (i32.const 4))))
            (v128.store (local.get $place)
              (f64x2.add (v128.load (local.get $place)) (local.get $pair)))
            (local.set $slot (i32.add (local.get $slot) (i32.const 4096)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $nextRest)))
        (local.set $rows (i32.add (local.get $rows) (i32.const 4)))
        (br $next))))

  ;; Loads something of each row's bins and derivatives, to have them in the cache. The sum must have a use, or
  ;; the loads may be left out.
  (func $touchRows
    (param $bins i32) (param $columns i32) (param $width i32) (param $derivatives i32) (param $rows i32)
    (param $stop i32) (result i32)
    (local $row i32) (local $place i32) (local $sum i32)
    (loop $next
      (local.set $row (i32.load (local.get $rows)))
      (local.set $place (i32.add (local.get $bins) (i32.mul (local.get $row) (local.get $columns))))
      (local.set $sum
        (i32.add
          (i32.add (local.get $sum) (i32.load8_u (local.get $place)))
          (i32.add
            (i32.load8_u (i32.add (local.get $place) (i32.sub (local.get $width) (i32.const 1))))
            (i32.load8_u (i32.add (local.get $derivatives) (i32.shl (local.get $row) (i32.const 4)))))))
      (local.set $rows (i32.add (local.get $rows) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $rows) (local.get $stop))))
    (local.get $sum))

  ;; Where less than a third of the rows is there, few are in the cache: a block of 32 of them is touched before
  ;; it is worked on, so that they are waited for together and not one by one (0.9 instead of 1.5 ns for an
  ;; addition where one row in 80 is there).
  (func $fillHistogram (export "fillHistogram")
    (param $histogram i32) (param $bins i32) (param $columns i32) (param $width i32) (param $derivatives i32)
    (param $rows i32) (param $count i32) (result i32)
    (local $stop i32) (local $near i32) (local $sum i32)
    (memory.fill (local.get $histogram) (i32.const 0) (i32.shl (local.get $width) (i32.const 12)))
    (local.set $stop (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (br_if $done (i32.eqz (i32.mul (local.get $count) (local.get $width))))
      (block $sparse
        (br_if $sparse
          (i32.lt_u
            (i32.mul (local.get $count) (i32.const 3))
            (i32.sub (i32.load (i32.sub (local.get $stop) (i32.const 4))) (i32.load (local.get $rows)))))
        (call $addRows (local.get $histogram) (local.get $bins) (local.get $columns) (local.get $width)
          (local.get $derivatives) (local.get $rows) (local.get $count))
        (br $done))
      (loop $next
        (local.set $near (i32.add (local.get $rows) (i32.const 128)))
        (local.set $near
          (select (local.get $near) (local.get $stop)
            (i32.lt_u (local.get $near) (local.get $stop))))
        (local.set $sum
          (i32.add (local.get $sum)
            (call $touchRows (local.get $bins) (local.get $columns) (local.get $width)
              (local.get $derivatives) (local.get $rows) (local.get $near))))
        (call $addRows (local.get $histogram) (local.get $bins) (local.get $columns) (local.get $width)
          (local.get $derivatives) (local.get $rows)
          (i32.shr_u (i32.sub (local.get $near) (local.get $rows)) (i32.const 2)))
        (local.set $rows (local.get $near))
        (br_if $next (i32.lt_u (local.get $rows) (local.get $stop)))))
    (local.get $sum))

  ;; A column has 256 counters of 4 bytes: 1024 bytes.
  (func $countRows (export "countRows")
    (param $counts i32) (param $bins i32) (param $columns i32) (param $width i32) (param $rows i32)
    (param $count i32)
    (local $stop i32) (local $at i32) (local $end i32) (local $slot i32) (local $place i32)
    (memory.fill (local.get $counts) (i32.const 0) (i32.shl (local.get $width) (i32.const 10)))
    (local.set $stop (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $rows) (local.get $stop)))
        (local.set $at
          (i32.add (local.get $bins) (i32.mul (i32.load (local.get $rows)) (local.get $columns))))
        (local.set $end (i32.add (local.get $at) (local.get $width)))
        (local.set $slot (local.get $counts))
        (block $rowDone
          (loop $nextColumn
            (br_if $rowDone (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $place
              (i32.add (local.get $slot) (i32.shl (i32.load8_u (local.get $at)) (i32.const 2))))
            (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (i32.const 1)))
            (local.set $slot (i32.add (local.get $slot) (i32.const 1024)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $nextColumn)))
        (local.set $rows (i32.add (local.get $rows) (i32.const 4)))
        (br $next))))

  ;; Sums and counts have whole vectors: 4096 and 1024 bytes for each column.
  (func $subtractHistogram (export "subtractHistogram")
    (param $parent i32) (param $child i32) (param $bytes i32) (local $end i32)
    (local.set $end (i32.add (local.get $parent) (local.get $bytes)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $parent) (local.get $end)))
        (v128.store (local.get $parent)
          (f64x2.sub (v128.load (local.get $parent)) (v128.load (local.get $child))))
        (v128.store offset=16 (local.get $parent)
          (f64x2.sub (v128.load offset=16 (local.get $parent)) (v128.load offset=16 (local.get $child))))
        (local.set $parent (i32.add (local.get $parent) (i32.const 32)))
        (local.set $child (i32.add (local.get $child) (i32.const 32)))
        (br $next))))

  (func $subtractCounts (export "subtractCounts")
    (param $parent i32) (param $child i32) (param $bytes i32) (local $end i32)
    (local.set $end (i32.add (local.get $parent) (local.get $bytes)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $parent) (local.get $end)))
        (v128.store (local.get $parent)
          (i32x4.sub (v128.load (local.get $parent)) (v128.load (local.get $child))))
        (local.set $parent (i32.add (local.get $parent) (i32.const 16)))
        (local.set $child (i32.add (local.get $child) (i32.const 16)))
        (br $next))))

  ;; Without a branch: each row is written to both parts, and one of the two moves on.
  (func $partitionRows (export "partitionRows")
    (param $column i32) (param $sides i32) (param $rows i32) (param $count i32) (param $scratch i32)
    (result i32)
    (local $at i32) (local $end i32) (local $left i32) (local $right i32) (local $row i32) (local $goes i32)
    (local.set $at (local.get $rows))
    (local.set $left (local.get $rows))
    (local.set $right (local.get $scratch))
    (local.set $end (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $row (i32.load (local.get $at)))
        (local.set $goes
          (i32.shl
            (i32.load8_u
              (i32.add (local.get $sides)
                (i32.load8_u (i32.add (local.get $column) (local.get $row)))))
            (i32.const 2)))
        (i32.store (local.get $left) (local.get $row))
        (i32.store (local.get $right) (local.get $row))
        (local.set $left (i32.add (local.get $left) (local.get $goes)))
        (local.set $right (i32.add (local.get $right) (i32.sub (i32.const 4) (local.get $goes))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (memory.copy (local.get $left) (local.get $scratch) (i32.sub (local.get $right) (local.get $scratch)))
    (i32.shr_u (i32.sub (local.get $left) (local.get $rows)) (i32.const 2)))

  (func $sumRows (export "sumRows")
    (param $into i32) (param $derivatives i32) (param $rows i32) (param $count i32)
    (local $end i32) (local $sum v128)
    (local.set $end (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $rows) (local.get $end)))
        (local.set $sum
          (f64x2.add (local.get $sum)
            (v128.load
              (i32.add (local.get $derivatives) (i32.shl (i32.load (local.get $rows)) (i32.const 4))))))
        (local.set $rows (i32.add (local.get $rows) (i32.const 4)))
        (br $next)))
    (v128.store (local.get $into) (local.get $sum)))

  (func $addToRows (export "addToRows")
    (param $margins i32) (param $rows i32) (param $count i32) (param $value f64)
    (local $end i32) (local $place i32)
    (local.set $end (i32.add (local.get $rows) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $rows) (local.get $end)))
        (local.set $place
          (i32.add (local.get $margins) (i32.shl (i32.load (local.get $rows)) (i32.const 3))))
        (f64.store (local.get $place) (f64.add (f64.load (local.get $place)) (local.get $value)))
        (local.set $rows (i32.add (local.get $rows) (i32.const 4)))
        (br $next))))

  ;; Eight steps of a binary search in 256 cuts, padded with infinity, for each value.
  (func $binRows (export "binRows")
    (param $values i32) (param $columns i32) (param $features i32) (param $width i32) (param $cuts i32)
    (param $count i32) (param $byRow i32) (param $byColumn i32) (param $rows i32)
    (local $column i32) (local $table i32) (local $place i32) (local $bin i32) (local $into i32)
    (local $value f32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $column (i32.const 0))
        (local.set $table (local.get $cuts))
        (local.set $into (local.get $byColumn))
        (block $rowDone
          (loop $nextColumn
            (br_if $rowDone (i32.ge_u (local.get $column) (local.get $width)))
            (local.set $value
              (f32.load
                (i32.add (local.get $values)
                  (i32.shl
                    (i32.load (i32.add (local.get $features) (i32.shl (local.get $column) (i32.const 2))))
                    (i32.const 2)))))
            (local.set $place (local.get $table))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=508 (local.get $place)) (local.get $value)) (i32.const 9))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=252 (local.get $place)) (local.get $value)) (i32.const 8))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=124 (local.get $place)) (local.get $value)) (i32.const 7))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=60 (local.get $place)) (local.get $value)) (i32.const 6))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=28 (local.get $place)) (local.get $value)) (i32.const 5))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=12 (local.get $place)) (local.get $value)) (i32.const 4))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load offset=4 (local.get $place)) (local.get $value)) (i32.const 3))))
            (local.set $place (i32.add (local.get $place)
              (i32.shl (f32.lt (f32.load (local.get $place)) (local.get $value)) (i32.const 2))))
            (local.set $bin
              (select
                (i32.const 255)
                (i32.shr_u (i32.sub (local.get $place) (local.get $table)) (i32.const 2))
                (f32.ne (local.get $value) (local.get $value))))
            (i32.store8 (local.get $byRow) (local.get $bin))
            (i32.store8 (local.get $into) (local.get $bin))
            (local.set $byRow (i32.add (local.get $byRow) (i32.const 1)))
            (local.set $into (i32.add (local.get $into) (local.get $rows)))
            (local.set $table (i32.add (local.get $table) (i32.const 1024)))
            (local.set $column (i32.add (local.get $column) (i32.const 1)))
            (br $nextColumn)))
        (local.set $values (i32.add (local.get $values) (i32.shl (local.get $columns) (i32.const 2))))
        (local.set $byColumn (i32.add (local.get $byColumn) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; Two rows at a time; where their number is odd the last one's neighbour lies in the padding of the arrays.
  ;; exp(-|m|) = 2^k exp(r), k whole, |r| <= ln(2) / 2, exp(r) by its Taylor series.
  (func $differentiateLogistic (export "differentiateLogistic")
    (param $labels i32) (param $weights i32) (param $margins i32) (param $derivatives i32) (param $count i32)
    (local $end i32) (local $margin v128) (local $size v128) (local $shifted v128) (local $power v128)
    (local $rest v128) (local $small v128) (local $chance v128) (local $weight v128)
    (local $first v128) (local $second v128)
    (local.set $end (i32.add (local.get $margins) (i32.shl (local.get $count) (i32.const 3))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $margins) (local.get $end)))
        (local.set $margin (v128.load (local.get $margins)))
        (local.set $size
          (f64x2.neg
            (f64x2.pmin (f64x2.splat (f64.const 700)) (f64x2.abs (local.get $margin)))))
        ;; Adding 1.5 * 2^52 rounds to a whole number, which is then in the lowest bits.
        (local.set $shifted
          (f64x2.add
            (f64x2.mul (local.get $size) (f64x2.splat (f64.const 1.4426950408889634)))
            (f64x2.splat (f64.const 6755399441055744))))
        (local.set $power
          (f64x2.sub (local.get $shifted) (f64x2.splat (f64.const 6755399441055744))))
        (local.set $rest
          (f64x2.sub
            (f64x2.sub (local.get $size)
              (f64x2.mul (local.get $power) (f64x2.splat (f64.const 0.6931471803691238))))
            (f64x2.mul (local.get $power) (f64x2.splat (f64.const 1.9082149292705877e-10)))))
        (local.set $small (f64x2.splat (f64.const 1.6059043836821613e-10)))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 2.08767569878681e-9))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 2.505210838544172e-8))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 2.755731922398589e-7))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 2.7557319223985893e-6))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.0000248015873015873))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.0001984126984126984))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.001388888888888889))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.008333333333333333))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.041666666666666664))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.16666666666666666))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 0.5))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 1))))
        (local.set $small (f64x2.add (f64x2.mul (local.get $small) (local.get $rest))
          (f64x2.splat (f64.const 1))))
        ;; 2^k has the bits k + 1023 in its exponent.
        (local.set $small
          (f64x2.mul (local.get $small)
            (i64x2.shl
              (i64x2.add (local.get $shifted) (i64x2.splat (i64.const 1023)))
              (i32.const 52))))
        (local.set $chance
          (f64x2.div
            (v128.bitselect (local.get $small) (f64x2.splat (f64.const 1))
              (f64x2.lt (local.get $margin) (f64x2.splat (f64.const 0))))
            (f64x2.add (f64x2.splat (f64.const 1)) (local.get $small))))
        (local.set $weight (v128.load (local.get $weights)))
        (local.set $first
          (f64x2.mul (local.get $weight) (f64x2.sub (local.get $chance) (v128.load (local.get $labels)))))
        (local.set $second
          (f64x2.mul (f64x2.mul (local.get $weight) (local.get $chance))
            (f64x2.sub (f64x2.splat (f64.const 1)) (local.get $chance))))
        (v128.store (local.get $derivatives)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $first) (local.get $second)))
        (v128.store offset=16 (local.get $derivatives)
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
            (local.get $first) (local.get $second)))
        (local.set $labels (i32.add (local.get $labels) (i32.const 16)))
        (local.set $weights (i32.add (local.get $weights) (i32.const 16)))
        (local.set $margins (i32.add (local.get $margins) (i32.const 16)))
        (local.set $derivatives (i32.add (local.get $derivatives) (i32.const 32)))
        (br $next)))))
