//go:build real

package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// olingo reads a page a number of times with Apache Olingo. atom is 1 for Atom, 0 for JSON. It returns the number of
// entries, -1 if Olingo rejects the page, and the nanoseconds of CPU time per reading.
type olingo func(b *testing.B, times, atom int, page []byte) (entries int, ns float64)

// startOlingo starts a JVM that reads pages until the benchmark ends.
func startOlingo(b *testing.B) olingo {
	cmd := exec.Command("../../../../testdata/peers/olingo/tool.sh", "testdata/Olingo.java", "testdata/metadata.xml")
	cmd.Env = append(os.Environ(), "TIMEOUT=900", "HEAP=512m", "TIERED=4")
	cmd.Stderr = os.Stderr
	requests, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		requests.Close()
		_ = cmd.Wait()
	})
	responses := bufio.NewScanner(stdout)
	file := filepath.Join(b.TempDir(), "page")
	return func(b *testing.B, times, atom int, page []byte) (entries int, ns float64) {
		require.NoError(b, os.WriteFile(file, page, 0o600))
		fmt.Fprintf(requests, "%d %s %s\n", times, []string{"application/json", "application/atom+xml"}[atom], file)
		require.True(b, responses.Scan(), "Olingo.java ended")
		_, err := fmt.Sscan(responses.Text(), &entries, &ns)
		require.NoError(b, err)
		return entries, ns
	}
}

// acceptedRows returns the rows that Olingo reads, and the branches of the others.
func (o olingo) acceptedRows(b *testing.B, atom int, rows []oddRow) (accepted []oddRow, rejected []string) {
	for _, row := range rows {
		if entries, _ := o(b, 1, atom, oddPage(atom == 1, []oddRow{row}, 1)); entries < 0 {
			rejected = append(rejected, row.branch)
		} else {
			accepted = append(accepted, row)
		}
	}
	return accepted, rejected
}

// BenchmarkRealPeersPages compares Apache Olingo's EntityProvider.readFeed on a warm JVM with the guest in its sandbox,
// on the same pages and in turns. It prints the median nanoseconds of CPU per row of each, and their ratio. For the JVM
// only the working thread is measured, without the garbage collector; for the guest the whole process. Rows of the page
// Odd that Olingo rejects are named, and are in neither's page. `make bench-peers` runs it.
func BenchmarkRealPeersPages(b *testing.B) {
	const (
		warmUp = 200 // pages
		turns  = 9
		pages  = 20 // of a turn
	)
	g := newGuest(b)
	o := startOlingo(b)
	compare := func(name string, shape, atom int, page []byte, deleted int, rejected []string) {
		b.Run(name, func(b *testing.B) {
			var olingoTimes, guestTimes []float64
			if len(rejected) > 0 {
				b.Logf("Olingo rejects %d rows: %s", len(rejected), strings.Join(rejected, "; "))
			}
			entries, _ := o(b, warmUp, atom, page)
			require.Equal(b, pageRows-deleted, entries, "entries")
			_, native := pageOf(Shapes(0)[shape], atom, Regular)
			want := len(mustDecode(b, native, page, pageRows).Rows)
			require.Equal(b, want, g.decode(b, shape, uint64(atom), page, pieceSize, nil), "rows")
			for b.Loop() {
				for range turns {
					_, ns := o(b, pages, atom, page)
					olingoTimes = append(olingoTimes, ns/pageRows)
					guestTimes = append(guestTimes, measureCPU(func() {
						for range pages {
							g.decode(b, shape, uint64(atom), page, pieceSize, nil)
						}
					})/pages/pageRows)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(olingoTimes), "Olingo-cpu-ns/row")
			b.ReportMetric(median(guestTimes), "ours-cpu-ns/row")
			b.ReportMetric(median(olingoTimes)/median(guestTimes), "times-as-fast")
		})
	}
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			page, _ := pageOf(shape, atom, Regular)
			switch shape.Name {
			case "Orders":
				shuffled, _ := pageOf(shape, atom, Shuffled)
				compare(format+"/Orders", k, atom, page, 0, nil)
				compare(format+"/Orders/shuffled", k, atom, shuffled, 0, nil)
			case "Expanded":
				compare(format+"/Expanded", k, atom, page, 0, nil)
			case "Odd":
				rows, rejected := o.acceptedRows(b, atom, [][]oddRow{oddJSON(), oddAtom()}[atom])
				deleted := 0
				for n := range pageRows {
					if strings.HasPrefix(rows[n%len(rows)].branch, "a deleted entry") {
						deleted++
					}
				}
				compare(format+"/Odd", k, atom, oddPage(atom == 1, rows, pageRows), deleted, rejected)
			}
		}
	}
}
