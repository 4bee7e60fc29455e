package completeness

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/paging"
)

var allTriples = flag.Bool("triples", false, "read all triples; this takes ten minutes, and the tests fail as doc.go describes")

var sampleCount = flag.Int("samples", 8, "number of services of TestSamples")

// TestMain lets only a limit of memory cause garbage collections, because they would take a third of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	m.Run()
}

// enumeration reads services and collects what is wrong with the loads.
type enumeration struct {
	t        *testing.T
	readers  readers
	silent   []silentService
	services int
	loads    int
	problems map[string]string // the first problem of each kind and description
	silenced map[string]bool   // the lines of nothing-tells.tsv that were needed, by their values
}

func newEnumeration(t *testing.T) *enumeration {
	return &enumeration{t: t, readers: readers{}, silent: readSilentServices(t), problems: map[string]string{},
		silenced: map[string]bool{}}
}

// readService reads a service in all its variants.
func (e *enumeration) readService(d description) {
	if !d.isPossible() {
		return
	}
	e.services++
	r := e.readers.find(e.t, &d)
	d.variants(func(v variant) (isRelevant bool) {
		s := newService(d, v)
		loaded := r.read(s)
		e.loads++
		e.check(s, &loaded)
		return len(s.requests) >= v.request
	})
}

// check records what is wrong with a load.
func (e *enumeration) check(s *service, loaded *result) {
	d := &s.description
	isProven := loaded.err == nil && paging.Proves(loaded.verdict)
	problem := ""
	switch {
	case errors.Is(loaded.err, errEndless):
		problem = "does not end"
	case isProven && len(loaded.missing) > 0:
		problem = "rows are missing"
	case loaded.err == nil && loaded.isEvident:
		problem = "ends, although rows are missing that an answer contained"
	case d.isHonest() && !isProven:
		problem = "is honest, and not proven"
	case d.isHonest() && loaded.doubled > 0:
		problem = "is honest, and rows arrived twice"
	case d.isHonest() && len(loaded.requests) > d.maxRequestsOf(len(s.stored), s.page):
		problem = fmt.Sprintf("is honest, and needed more than %d requests", d.maxRequestsOf(len(s.stored), s.page))
	}
	if problem == "" {
		problem = loaded.problemOfChanges(s)
	}
	if problem == "" {
		return
	}
	for i := range e.silent {
		if e.silent[i].matches(d) && len(loaded.missing) > 0 && loaded.err == nil {
			e.silenced[e.silent[i].values] = true
			return
		}
	}
	name := problem + ": " + d.String()
	if _, ok := e.problems[name]; !ok {
		e.problems[name] = fmt.Sprintf("%v: complete=%s, rows %v missing, %d twice, %v\n\t%s", s.variant,
			loaded.verdict, loaded.missing, loaded.doubled, loaded.err, strings.Join(loaded.requests, "\n\t"))
	}
}

// report fails the test if a load was wrong.
func (e *enumeration) report() {
	e.t.Helper()
	e.t.Logf("%d services, %d loads", e.services, e.loads)
	const shown = 10
	names := slices.Sorted(maps.Keys(e.problems))
	for _, name := range names[:min(shown, len(names))] {
		e.t.Errorf("%s\n\t%s", name, e.problems[name])
	}
	if len(names) > shown {
		e.t.Errorf("and %d more:\n%s", len(names)-shown, strings.Join(names[shown:], "\n"))
	}
}

// combine calls visit for each combination of values that are not defaults, in count of the dimensions.
func combine(dimensions []dimension, count int, d description, visit func(d description)) {
	if count == 0 {
		visit(d)
		return
	}
	for i, dimension := range dimensions {
		for _, value := range dimension.values()[1:] {
			changed := d
			changed[dimension] = value
			combine(dimensions[i+1:], count-1, changed, visit)
		}
	}
}

// allDimensions returns the dimensions of v2.
func allDimensions() (all []dimension) {
	for i := range version {
		all = append(all, i)
	}
	return all
}

// TestPairs reads the services that differ from the default in at most two dimensions: no load with a proof lacks a
// row, and honest services are proven by few requests. Each line of nothing-tells.tsv is needed.
func TestPairs(t *testing.T) {
	t.Parallel()
	e := newEnumeration(t)
	for count := range 3 {
		combine(allDimensions(), count, defaults(), e.readService)
	}
	e.report()
	for i := range e.silent {
		assert.True(t, e.silenced[e.silent[i].values],
			"nothing-tells.tsv: expected a service with %s and a missing row, found none", e.silent[i].values)
	}
}

// defaultsOfV4 returns the service of v4 that has the default of each dimension, and the dimensions of v4 alone.
func defaultsOfV4() (d description, own []dimension) {
	d = defaults()
	d[version] = "v4"
	for i := version + 1; i < dimensionCount; i++ {
		own = append(own, i)
	}
	return d, own
}

// TestPairsOfV4 is TestPairs for v4, whose own dimensions are combined with all others.
func TestPairsOfV4(t *testing.T) {
	t.Parallel()
	e := newEnumeration(t)
	d, own := defaultsOfV4()
	for count := range 3 {
		combine(append(allDimensions(), own...), count, d, e.readService)
	}
	e.report()
}

// TestChangesOfV4 reads services of v4 that track changes and differ in three dimensions of v4, or in one of them and
// one of the others: either an error ends the load, or the rows after all changes are those of the service.
func TestChangesOfV4(t *testing.T) {
	t.Parallel()
	e := newEnumeration(t)
	d, own := defaultsOfV4()
	d[trackingToken] = "last page"
	combine(own, 3, d, e.readService)
	for _, other := range []dimension{keyType, failures, changes, linkForm} {
		for _, i := range own {
			combine([]dimension{i, other}, 2, d, e.readService)
		}
	}
	e.report()
}

// TestTriples does the same for three of the dimensions that decide how pages are requested, in both versions.
func TestTriples(t *testing.T) {
	t.Parallel()
	e := newEnumeration(t)
	dimensions := []dimension{filterOrder, sortOrder, cutting, counts, skips, linkForm}
	v4, _ := defaultsOfV4()
	combine(dimensions, 3, v4, e.readService)
	if *allTriples {
		dimensions = allDimensions()
	}
	combine(dimensions, 3, defaults(), e.readService)
	e.report()
}

// TestSamples does the same for random services with sets of 25,000 rows. Each dimension has another value than the
// default with a chance of one in five.
func TestSamples(t *testing.T) {
	t.Parallel()
	readSamples(t, defaults(), allDimensions(), *sampleCount)
}

// TestSamplesOfV4 is TestSamples for half as many services of v4.
func TestSamplesOfV4(t *testing.T) {
	t.Parallel()
	d, own := defaultsOfV4()
	readSamples(t, d, append(allDimensions(), own...), *sampleCount/2)
}

func readSamples(t *testing.T, standard description, dimensions []dimension, count int) {
	e := newEnumeration(t)
	random := rand.New(rand.NewPCG(69, 2))
	places := placesIf(true, 3)
	for e.loads < count {
		d := standard
		for _, i := range dimensions {
			values := i.values()
			if random.IntN(5) == 0 {
				d[i] = values[random.IntN(len(values))]
			}
		}
		if !d.isPossible() || d[storageOrder] == "arranged" {
			continue
		}
		s := newService(d, variant{rows: 25_000 - random.IntN(3), page: 1000, pattern: random.IntN(50),
			request: random.IntN(30), place: places[random.IntN(3)], changed: places[random.IntN(3)],
			specialRows: 1 + random.IntN(2000)})
		loaded := e.readers.find(t, &d).read(s)
		e.services++
		e.loads++
		e.check(s, &loaded)
	}
	e.report()
}

// silentService has values of services whose missing rows no affordable request shows.
type silentService struct {
	values     string // as [description.String] names them
	assumption string // the assumption of SERVICES.md that such a service violates
}

// matches reports whether a description has the values.
func (s *silentService) matches(d *description) bool {
	for value := range strings.SplitSeq(s.values, ", ") {
		if !slices.Contains(strings.Split(d.String(), ", "), value) {
			return false
		}
	}
	return true
}

// maxSilentServices limits the lines of nothing-tells.tsv.
const maxSilentServices = 25

// readSilentServices reads nothing-tells.tsv: values, the assumption, and where such a service was seen.
func readSilentServices(t *testing.T) (services []silentService) {
	t.Helper()
	content, err := os.ReadFile("nothing-tells.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.True(t, len(columns) == 3 && columns[2] != "",
			"nothing-tells.tsv: expected values, an assumption and a product, found %q", line)
		services = append(services, silentService{values: columns[0], assumption: columns[1]})
	}
	assert.AtMost(t, maxSilentServices, len(services), "nothing-tells.tsv: lines")
	return services
}

// TestAssumptionsAreStated checks that SERVICES.md contains each assumption of nothing-tells.tsv word for word.
func TestAssumptionsAreStated(t *testing.T) {
	content, err := os.ReadFile("../SERVICES.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(content)), " ")
	for _, silent := range readSilentServices(t) {
		assert.True(t, strings.Contains(text, silent.assumption),
			"SERVICES.md: expected the assumption %q about %s", silent.assumption, silent.values)
	}
}
