// Command pictures draws the pictures of docs/method.md from a synthetic patient: make pictures.
package main

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"os"

	"rfanode/analysis/phantom"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// run draws every picture of one patient, whose lungs move by 16 mm between the scans.
func run(ctx context.Context) error {
	patient, err := phantom.Pair(ctx, phantom.Options{Seed: 7, BreathingMM: 16, RandomMM: 1.5})
	if err != nil {
		return err
	}
	picture, err := registration(ctx, patient)
	if err != nil {
		return err
	}
	return write("docs/registration.png", picture)
}

func write(path string, picture image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, picture); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
