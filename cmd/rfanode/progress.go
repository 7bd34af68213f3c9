package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells a person what long work is at: one line that is rewritten on a terminal, plain lines elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	began    time.Time
	open     bool // the line on the terminal is not ended yet
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, began: time.Now()}
}

// stage says what begins now.
func (p *progress) stage(format string, args ...any) {
	line := fmt.Sprintf("%5.1f s  %s", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.open = true
		return
	}
	fmt.Fprintln(p.w, line)
}

// end leaves the terminal with a line of its own.
func (p *progress) end() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}
