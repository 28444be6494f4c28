// Attention of a few queries to long keys and values that lie in several pieces of memory, in float32.
//
// One pass over the keys, a span at a time, with running maxima and sums (arXiv:1805.02867), so that
// scores do not leave the core's caches. Both products, of queries with keys and of weights with values,
// are one kernel: ROWS x 16W accumulators in registers. Compiled for the processor it runs on.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LANES = 16;
constexpr int BLOCK = 64;   // keys in the first cache at a time
constexpr int SPAN = 1024;  // keys between two looks at the maxima
constexpr int ROWS = 5;     // queries at a time: with 64 keys, 20 of 32 registers are sums

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float Loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Whole __attribute__((vector_size(4 * LANES)));

constexpr float LEAST = -3.4e38f;

inline Lanes all(float x) { return Lanes{} + x; }

inline Lanes load(const float* at) { return *reinterpret_cast<const Loose*>(at); }

inline void store(float* at, Lanes x) { *reinterpret_cast<Loose*>(at) = x; }

inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

// What all lanes together give, in every lane.
template <typename Fold>
inline Lanes folded(Lanes x, Fold fold) {
    for (int step = LANES / 2; step; step /= 2) {
        Whole from;
        for (int i = 0; i < LANES; i++) from[i] = i ^ step;
        x = fold(x, __builtin_shuffle(x, from));
    }
    return x;
}

// 2^x for x <= 0, to 2 units in the last place; never less than 2^-126, which is next to nothing.
inline Lanes power(Lanes x) {
    const Lanes bounded = larger(x, all(-126.0f));
    const Lanes shifter = all(12582912.0f);  // 1.5 * 2^23: its last bits are the nearest whole number
    const Lanes shifted = bounded + shifter;
    const Lanes r = bounded - (shifted - shifter);
    // The least relative error of a polynomial of this degree, 7.5e-8.
    Lanes y = all(1.327645785e-3f);
    y = y * r + all(9.675541221e-3f);
    y = y * r + all(5.550713317e-2f);
    y = y * r + all(2.402211973e-1f);
    y = y * r + all(6.931469670e-1f);
    y = y * r + all(1.000000072f);
    return (Lanes)((Whole)y + ((Whole)shifted << 23));
}

// c[R][16W] (+)= a[R][depth] * b[depth][16W]
template <int R, int W, bool ADD>
inline void multiply(const float* a, int64_t a_row, const float* b, int64_t b_row, int depth,
                     float* c, int64_t c_row) {
    Lanes sum[R][W];
    for (int r = 0; r < R; r++)
        for (int w = 0; w < W; w++) sum[r][w] = ADD ? load(c + r * c_row + w * LANES) : Lanes{};
    for (int k = 0; k < depth; k++) {
        Lanes other[W];
        for (int w = 0; w < W; w++) other[w] = load(b + k * b_row + w * LANES);
        for (int r = 0; r < R; r++) {
            const Lanes one = all(a[r * a_row + k]);
            for (int w = 0; w < W; w++) sum[r][w] += one * other[w];
        }
    }
    for (int r = 0; r < R; r++)
        for (int w = 0; w < W; w++) store(c + r * c_row + w * LANES, sum[r][w]);
}

// c[rows][16W] (+)= a[rows][depth] * b[depth][16W]. Meanwhile what is at `next` comes into a cache.
template <int W, bool ADD>
void product(const float* a, int64_t a_row, int rows, const float* b, int64_t b_row, int depth,
             float* c, int64_t c_row, const float* next, int floats) {
    const int each = floats * ROWS / rows;
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS) {
        for (int i = 0; i < each; i += LANES) __builtin_prefetch(next + i, 0, 2);
        next += each;
        multiply<ROWS, W, ADD>(a + r * a_row, a_row, b, b_row, depth, c + r * c_row, c_row);
    }
    for (; r < rows; r++)
        multiply<1, W, ADD>(a + r * a_row, a_row, b, b_row, depth, c + r * c_row, c_row);
}

// Lane i of a where bit STEP of i is 0, lane i - STEP of b where it is 1; `high`: the other lanes.
template <int STEP>
inline Lanes mixed(Lanes a, Lanes b, bool high) {
    Whole from;
    for (int i = 0; i < LANES; i++) {
        const bool second = i & STEP;
        from[i] = (second ? LANES + i - STEP : i) + (high ? STEP : 0);
    }
    return __builtin_shuffle(a, b, from);
}

template <int STEP>
inline void swap_corners(Lanes (&tile)[LANES]) {
    for (int i = 0; i < LANES; i++)
        if (!(i & STEP)) {
            const Lanes a = tile[i], b = tile[i + STEP];
            tile[i] = mixed<STEP>(a, b, false);
            tile[i + STEP] = mixed<STEP>(a, b, true);
        }
}

// keys[count][width] -> turned[width][BLOCK], zeros beyond count
void turn(const float* keys, int count, int width, float* turned) {
    for (int first = 0; first < BLOCK; first += LANES)
        for (int d = 0; d < width; d += LANES) {
            Lanes tile[LANES];
            for (int k = 0; k < LANES; k++)
                tile[k] = first + k < count ? load(keys + (first + k) * width + d) : Lanes{};
            swap_corners<8>(tile);
            swap_corners<4>(tile);
            swap_corners<2>(tile);
            swap_corners<1>(tile);
            for (int k = 0; k < LANES; k++) store(turned + (d + k) * BLOCK + first, tile[k]);
        }
}

// One head: queries [n][width], already scaled -> out [n][width].
template <int W>
struct Head {
    static constexpr int width = W * LANES;
    int n;
    std::vector<float> turned, scores, best, total;

    explicit Head(int n)
        : n(n), turned(width * BLOCK), scores(size_t(n) * SPAN), best(n), total(n) {}

    void begin(float* out) {
        std::fill(best.begin(), best.end(), LEAST);
        std::fill(total.begin(), total.end(), 0.0f);
        std::memset(out, 0, sizeof(float) * n * width);
    }

    // At most SPAN keys.
    void see(const float* queries, const float* keys, const float* values, int count, float* out) {
        constexpr int block = BLOCK * width;
        for (int at = 0; at < count; at += BLOCK) {
            const float* some = keys + at * width;
            turn(some, std::min(BLOCK, count - at), width, turned.data());
            product<BLOCK / LANES, false>(queries, width, n, turned.data(), BLOCK, width,
                                          scores.data() + at, SPAN, some + block, block);
        }
        const int until = (count + BLOCK - 1) / BLOCK * BLOCK;
        rescale(count, until, out);
        weigh(until);
        for (int at = 0; at < count; at += BLOCK) {
            const float* some = values + at * width;
            product<W, true>(scores.data() + at, SPAN, n, some, width, std::min(BLOCK, count - at),
                             out, width, some + block, block);
        }
    }

    // What was summed up before, for the maxima with the new scores.
    void rescale(int count, int until, float* out) {
        for (int i = 0; i < n; i++) {
            float* row = scores.data() + int64_t(i) * SPAN;
            std::fill(row + count, row + until, LEAST);
            Lanes most[BLOCK / LANES];
            for (int w = 0; w < BLOCK / LANES; w++) most[w] = load(row + w * LANES);
            for (int at = BLOCK; at < until; at += BLOCK)
                for (int w = 0; w < BLOCK / LANES; w++)
                    most[w] = larger(most[w], load(row + at + w * LANES));
            for (int w = 1; w < BLOCK / LANES; w++) most[0] = larger(most[0], most[w]);
            const Lanes now = larger(all(best[i]), folded(most[0], larger));
            const Lanes kept = power(best[i] - now);
            best[i] = now[0];
            total[i] *= kept[0];
            for (int w = 0; w < W; w++) {
                float* sums = out + int64_t(i) * width + w * LANES;
                store(sums, load(sums) * kept);
            }
        }
    }

    // Scores become weights.
    void weigh(int until) {
        for (int i = 0; i < n; i++) {
            float* row = scores.data() + int64_t(i) * SPAN;
            Lanes sum[BLOCK / LANES] = {};
            for (int at = 0; at < until; at += BLOCK)
                for (int w = 0; w < BLOCK / LANES; w++) {
                    const Lanes weight = power(load(row + at + w * LANES) - best[i]);
                    store(row + at + w * LANES, weight);
                    sum[w] += weight;
                }
            for (int w = 1; w < BLOCK / LANES; w++) sum[0] += sum[w];
            total[i] += folded(sum[0], [](Lanes a, Lanes b) { return a + b; })[0];
        }
    }

    void end(float* out) {
        for (int i = 0; i < n; i++)
            for (int w = 0; w < width; w += LANES) {
                float* at = out + int64_t(i) * width + w;
                store(at, load(at) / total[i]);
            }
    }
};

struct Part {
    const float* keys;
    const float* values;
    int64_t head;    // floats from one head's frames to the next one's
    int64_t frames;  // of `width` floats each
};

template <int W>
void attend(const float* queries, int64_t heads, int64_t n, const Part* parts, int64_t count,
            float* out, int threads) {
    const int64_t size = n * W * LANES;
#pragma omp parallel num_threads(threads)
    {
        Head<W> head{int(n)};
#pragma omp for schedule(static)
        for (int64_t h = 0; h < heads; h++) {
            float* to = out + h * size;
            head.begin(to);
            for (int64_t p = 0; p < count; p++) {
                const Part& part = parts[p];
                for (int64_t at = 0; at < part.frames; at += SPAN) {
                    const int64_t from = h * part.head + at * W * LANES;
                    const int some = int(std::min<int64_t>(SPAN, part.frames - at));
                    head.see(queries + h * size, part.keys + from, part.values + from, some, to);
                }
            }
            head.end(to);
        }
    }
}

}  // namespace

// queries, out [heads][n][width]; queries are scaled already, by log2(e), too.
extern "C" void cosyserve_attend(const float* queries, int64_t heads, int64_t n, int64_t width,
                                 const Part* parts, int64_t count, float* out, int threads) {
    switch (width) {
        case 16: return attend<1>(queries, heads, n, parts, count, out, threads);
        case 32: return attend<2>(queries, heads, n, parts, count, out, threads);
        case 64: return attend<4>(queries, heads, n, parts, count, out, threads);
    }
}
