/*
 * mandelbrot: render a part of the Mandelbrot set as a PPM picture.
 *
 *   mandelbrot [-s WIDTHxHEIGHT] [-i ITERATIONS] [-c X,Y] [-w WIDTH] [-o FILE]
 *
 * The picture goes to standard output, or to FILE. A line about the work done
 * goes to standard error. Exit status: 0 if the picture was written, 1 if it
 * could not be, 2 for wrong usage.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 16384, MAX_ITERATIONS = 1000000 };

struct view {
	int width, height; /* pixels */
	int iterations;    /* after which a point counts as inside */
	double x, y;       /* the middle of the picture */
	double span;       /* its width in the plane */
	const char *file;  /* NULL: standard output */
};

/* escape returns a smoothed count of the steps until c leaves the circle of
 * radius 16, or a negative number if it stays. */
static double escape(double cx, double cy, int limit)
{
	double x = 0, y = 0, xx = 0, yy = 0;
	for (int n = 0; n < limit; n++) {
		y = 2 * x * y + cy;
		x = xx - yy + cx;
		xx = x * x;
		yy = y * y;
		if (xx + yy > 256)
			return n + 1 - log2(log2(xx + yy) / 8);
	}
	return -1;
}

/* colour maps a count of steps to a colour; points inside are black. */
static void colour(double steps, uint8_t rgb[3])
{
	if (steps < 0) {
		memset(rgb, 0, 3);
		return;
	}
	double t = 0.25 * sqrt(steps > 0 ? steps : 0);
	for (int i = 0; i < 3; i++)
		rgb[i] = (uint8_t)(127.5 - 127.5 * cos(t * 6.2831853 + 0.6 * i));
}

/* render fills in one row. */
static void render(const struct view *v, int row, uint8_t *out)
{
	double step = v->span / v->width;
	double cy = v->y + (v->height / 2.0 - row - 0.5) * step;
	for (int i = 0; i < v->width; i++) {
		double cx = v->x + (i + 0.5 - v->width / 2.0) * step;
		colour(escape(cx, cy, v->iterations), out + 3 * i);
	}
}

static int draw(const struct view *v, FILE *f)
{
	uint8_t *row = malloc(3 * (size_t)v->width);
	if (!row)
		return -1;
	fprintf(f, "P6\n%d %d\n255\n", v->width, v->height);
	for (int y = 0; y < v->height; y++) {
		render(v, y, row);
		if (fwrite(row, 3, v->width, f) != (size_t)v->width)
			break;
	}
	free(row);
	return fflush(f) || ferror(f) ? -1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: mandelbrot [-s WIDTHxHEIGHT] [-i ITERATIONS]"
			" [-c X,Y] [-w WIDTH] [-o FILE]\n");
	return 2;
}

/* parse reads the arguments; it returns 0 if they make no sense. */
static int parse(struct view *v, int argc, char **argv)
{
	char end;
	for (int i = 1; i < argc; i += 2) {
		const char *value = argv[i + 1];
		if (!value || argv[i][0] != '-' || argv[i][1] == 0 || argv[i][2] != 0)
			return 0;
		switch (argv[i][1]) {
		case 's':
			if (sscanf(value, "%dx%d%c", &v->width, &v->height, &end) != 2)
				return 0;
			break;
		case 'i':
			if (sscanf(value, "%d%c", &v->iterations, &end) != 1)
				return 0;
			break;
		case 'c':
			if (sscanf(value, "%lf,%lf%c", &v->x, &v->y, &end) != 2)
				return 0;
			break;
		case 'w':
			if (sscanf(value, "%lf%c", &v->span, &end) != 1)
				return 0;
			break;
		case 'o':
			v->file = value;
			break;
		default:
			return 0;
		}
	}
	return v->width > 0 && v->width <= MAX_SIDE && v->height > 0 &&
	       v->height <= MAX_SIDE && v->iterations > 0 &&
	       v->iterations <= MAX_ITERATIONS && v->span > 0;
}

int main(int argc, char **argv)
{
	struct view v = {.width = 640, .height = 480, .iterations = 500,
			 .x = -0.743643887, .y = 0.131825904, .span = 0.004};
	if (!parse(&v, argc, argv))
		return usage();
	FILE *f = v.file ? fopen(v.file, "wb") : stdout;
	if (!f) {
		fprintf(stderr, "mandelbrot: %s: %s\n", v.file, strerror(errno));
		return 1;
	}
	int failed = draw(&v, f);
	if (v.file && fclose(f))
		failed = -1;
	if (failed) {
		fprintf(stderr, "mandelbrot: cannot write the picture: %s\n", strerror(errno));
		return 1;
	}
	fprintf(stderr, "mandelbrot: %dx%d pixels, %d iterations\n", v.width, v.height, v.iterations);
	return 0;
}
