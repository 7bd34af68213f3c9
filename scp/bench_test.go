package scp_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"rfanode/dimse"
	"rfanode/durable"
	"rfanode/internal/tooltest"
	"rfanode/scp"
	"rfanode/scp/archive"
)

// benchSeries writes n CT instances of 512 × 512, 16 bit.
func benchSeries(b *testing.B, n int) (dir string, paths []string) {
	b.Helper()
	dir = b.TempDir()
	for k := range n {
		in := newInstance(k)
		in.pixels = 512 * 512 * 2
		data := dimse.AppendFileMeta(nil, dimse.FileMeta{SOPClassUID: in.class, SOPInstanceUID: in.uid,
			TransferSyntaxUID: dimse.ExplicitVRLittleEndian})
		data = append(data, in.encode(true)...)
		p := filepath.Join(dir, fmt.Sprintf("%04d.dcm", k))
		writeFile(b, p, data)
		paths = append(paths, p)
	}
	return dir, paths
}

func writeFile(b *testing.B, path string, data []byte) {
	b.Helper()
	f, err := durable.Create(filepath.Dir(path))
	if err != nil {
		b.Fatal(err)
	}
	f.NoSync = true
	if _, err := f.Write(data); err != nil {
		b.Fatal(err)
	}
	if err := f.Commit(filepath.Base(path)); err != nil {
		b.Fatal(err)
	}
}

func startBench(b *testing.B, durable bool) *receiver {
	return start(b, func(s *scp.Server) {
		if !durable {
			return
		}
		a, err := archive.Open(b.TempDir(), archive.Options{ReserveBytes: -1, ReservePercent: -1})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { a.Close() })
		s.Archive = a
	})
}

const benchInstances = 200

// rate reports instances a second.
func rate(b *testing.B, n int) {
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "instances/s")
}

// BenchmarkReceive measures 512 × 512 CT instances received, by sender, number of associations and durability, and the
// bare loop of write, fsync, rename, fsync of the folder on the same disk beside it. Every round sends to a new, empty
// archive. Run it with -benchtime 1x or 3x.
func BenchmarkReceive(b *testing.B) {
	dir, paths := benchSeries(b, benchInstances)
	for _, sender := range []string{"storescu", "dcmsend"} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/durable=%v", sender, durable), func(b *testing.B) {
				program := tooltest.Need(b, sender)
				for b.Loop() {
					b.StopTimer()
					r := startBench(b, durable)
					b.StartTimer()
					args := []string{"-aec", "RFANODE", r.host, r.port, "+sd", dir}
					if sender == "storescu" {
						args = append([]string{"-R"}, args...)
					}
					if out, err := run(b, program, args...); err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
				}
				rate(b, benchInstances)
			})
		}
	}
	for _, n := range []int{1, 8} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("own/n=%d/durable=%v", n, durable), func(b *testing.B) {
				objects := objectsOf(b, paths)
				for b.Loop() {
					b.StopTimer()
					r := startBench(b, durable)
					b.StartTimer()
					var wg sync.WaitGroup
					for k := range n {
						part := objects[k*len(objects)/n : (k+1)*len(objects)/n]
						wg.Go(func() {
							err := (&dimse.Client{}).Store(b.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, part,
								func(i int, o dimse.Outcome) {
									if !o.Stored {
										b.Errorf("%d: %v", i, o)
									}
								})
							if err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
				rate(b, benchInstances)
			})
		}
	}
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("bare loop/n=%d", n), func(b *testing.B) {
			data := make([]byte, 526148)
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				b.StartTimer()
				var wg sync.WaitGroup
				for k := range n {
					wg.Go(func() {
						for i := range benchInstances / n {
							f, err := durable.Create(dir)
							if err == nil {
								_, err = f.Write(data)
							}
							if err == nil {
								err = f.Commit(fmt.Sprintf("%d-%d", k, i))
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			}
			rate(b, benchInstances)
		})
	}
}
