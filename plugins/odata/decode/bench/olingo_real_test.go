//go:build real

package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// peer is a client that reads the pages of a format.
type peer struct {
	name     string
	format   int
	tool     string // runs program
	program  string
	metadata string
	mode     string // the second word of a request to program
}

var peers = []peer{
	{name: "Olingo 2", format: FormatJSON, tool: "olingo", program: "testdata/Olingo.java",
		metadata: "testdata/metadata.xml", mode: "application/json"},
	{name: "Olingo 2", format: FormatAtom, tool: "olingo", program: "testdata/Olingo.java",
		metadata: "testdata/metadata.xml", mode: "application/atom+xml"},
	{name: "Olingo 4 typed", format: FormatJSON4, tool: "olingo4", program: peersFolder + "olingo4/client/Values.java",
		metadata: "testdata/metadata4.xml", mode: "typed"},
	{name: "Olingo 4 untyped", format: FormatJSON4, tool: "olingo4", program: peersFolder + "olingo4/client/Values.java",
		metadata: "testdata/metadata4.xml", mode: "untyped"},
}

const peersFolder = "../../../../testdata/peers/"

// pageReader reads a page a number of times. It returns the number of entries, -1 if the peer rejects the page, and the
// nanoseconds of CPU time per reading.
type pageReader func(b *testing.B, times int, page []byte) (entries int, ns float64)

// start starts a JVM that reads pages until the benchmark ends.
func (p peer) start(b *testing.B) pageReader {
	cmd := exec.Command(peersFolder+p.tool+"/tool.sh", p.program, p.metadata)
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
	return func(b *testing.B, times int, page []byte) (entries int, ns float64) {
		require.NoError(b, os.WriteFile(file, page, 0o600))
		fmt.Fprintf(requests, "%d %s %s\n", times, p.mode, file)
		require.True(b, responses.Scan(), "%s ended", p.program)
		_, err := fmt.Sscan(responses.Text(), &entries)
		require.NoError(b, err)
		if entries >= 0 { // otherwise a message follows
			_, err = fmt.Sscan(responses.Text(), &entries, &ns)
			require.NoError(b, err)
		}
		return entries, ns
	}
}

// peerPage is a page of pageRows rows that a peer reads.
type peerPage struct {
	doc      []byte
	entries  int      // that the peer reads
	rejected []string // branches of odd rows that the page leaves out
}

// acceptedPage returns a page of the odd rows that the peer reads.
func (read pageReader) acceptedPage(b *testing.B, f Format) (page peerPage) {
	var accepted []oddRow
	var entriesOf []int
	for _, row := range f.odd() {
		n, _ := read(b, 1, f.oddPage([]oddRow{row}, 1))
		if n < 0 {
			page.rejected = append(page.rejected, row.branch)
			continue
		}
		accepted = append(accepted, row)
		entriesOf = append(entriesOf, n)
	}
	for n := range pageRows {
		page.entries += entriesOf[n%len(entriesOf)]
	}
	page.doc = f.oddPage(accepted, pageRows)
	return page
}

// BenchmarkRealPeersPages compares Apache Olingo's clients on a warm JVM with the guest in its sandbox, on the same
// pages and in turns: EntityProvider.readFeed of Olingo 2, and the typed and the untyped client of Olingo 4. It prints
// the median nanoseconds of CPU per row of each, their ratio, and what the anchor of BenchmarkPages takes. For the JVM
// only the working thread is measured, without the garbage collector; for the guest the whole process. Rows of the page
// Odd that Olingo rejects are named, and are in neither's page. `make bench-peers` runs it.
func BenchmarkRealPeersPages(b *testing.B) {
	g := newGuest(b)
	for _, p := range peers {
		format := Formats[p.format]
		b.Run(format.Name+"/"+p.name, func(b *testing.B) {
			read := p.start(b)
			for k, shape := range format.Shapes(pageRows) {
				regular := peerPage{doc: format.Page(shape, Regular), entries: pageRows}
				switch shape.Name {
				case "Orders":
					p.compare(b, g, read, k, shape.Name, regular)
					shuffled := peerPage{doc: format.Page(shape, Shuffled), entries: pageRows}
					p.compare(b, g, read, k, shape.Name+"/shuffled", shuffled)
				case "Expanded":
					p.compare(b, g, read, k, shape.Name, regular)
				case "Odd":
					p.compare(b, g, read, k, shape.Name, read.acceptedPage(b, format))
				}
			}
		})
	}
}

// compare lets the peer and the guest read a page of a shape in turns.
func (p peer) compare(b *testing.B, g *guest, read pageReader, shape int, name string, page peerPage) {
	const (
		warmUp = 200 // pages
		turns  = 9
		pages  = 20 // of a turn
	)
	b.Run(name, func(b *testing.B) {
		var peerTimes, guestTimes, anchorTimes []float64
		if len(page.rejected) > 0 {
			b.Logf("%s rejects %d rows: %s", p.name, len(page.rejected), strings.Join(page.rejected, "; "))
		}
		entries, _ := read(b, warmUp, page.doc)
		require.Equal(b, page.entries, entries, "entries")
		native := Formats[p.format].NewDecoder(Formats[p.format].Shapes(0)[shape].Schema)
		want := len(mustDecode(b, native, page.doc, pageRows).Rows)
		require.Equal(b, want, g.decode(b, shape, p.format, page.doc, pieceSize, nil), "rows")
		perRow := func(read func()) float64 {
			runtime.GC() // otherwise the anchor's garbage is collected in the guest's time
			return measureCPU(func() {
				for range pages {
					read()
				}
			}) / pages / pageRows
		}
		for b.Loop() {
			for range turns {
				_, ns := read(b, pages, page.doc)
				peerTimes = append(peerTimes, ns/pageRows)
				guestTime := perRow(func() { g.decode(b, shape, p.format, page.doc, pieceSize, nil) })
				guestTimes = append(guestTimes, guestTime)
				anchorTimes = append(anchorTimes, perRow(func() { readNatively(p.format == FormatAtom, page.doc) }))
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(peerTimes), "Olingo-cpu-ns/row")
		b.ReportMetric(median(guestTimes), "ours-cpu-ns/row")
		b.ReportMetric(median(anchorTimes), "anchor-cpu-ns/row")
		b.ReportMetric(median(peerTimes)/median(guestTimes), "times-as-fast")
	})
}
