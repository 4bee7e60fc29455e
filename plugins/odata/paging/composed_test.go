package paging

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

var composedSeeds = flag.Int("composed", 12_000, "number of services of TestComposedServices")

var onlySeed = flag.Uint64("composed.seed", 0, "the only seed of TestComposedServices. Zero means all.")

// TestMain lets only a limit of memory cause garbage collections, because they would take a fifth of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	m.Run()
}

// lostOption matches an option that a faulty service drops from its links.
var lostOption = regexp.MustCompile(`\$(orderby|filter)=[^&]*&`)

// composedService returns a service with one choice for each of: paging, count, order, keys, rows that cannot be
// decoded, changes while it is read, and one fault. It also returns the set to read and the choices.
func composedService(r *rand.Rand) (fake *service, set *Set, traits []string) {
	pick := func(words ...string) string {
		word := words[r.IntN(len(words))]
		traits = append(traits, word)
		return word
	}
	fake = &service{page: 1 + r.IntN(12)}
	fake.links = pick("key", "token", "skip", "base64", "sealed", "none", "none")
	fake.skips = pick("skips", "skips", "ignores $skip") == "skips"
	fake.count = pick("filtered", "filtered", "whole", "more", "less", "zero", "limit", "none", "refused", "page")
	fake.order = pick("heeds", "heeds", "ignores", "text", "refused", "unfiltered", "filtered")
	fake.filter = pick("heeds", "heeds", "heeds", "ignores", "refused", "above")
	set = setOf(pick("auto", "auto", "keys", "links"), 0)
	if pick("auto", "auto", "top") == "top" {
		set.Paging = "top"
		set.Top = fake.page
		fake.tops = r.IntN(2) == 0
	}
	n := r.IntN(60)
	fake.keys = upFrom(1, n)
	switch pick("ascending", "ascending", "shuffled", "rotated", "duplicate", "keyless", "generated") {
	case "rotated":
		fake.keys = append(fake.keys[n/2:], fake.keys[:n/2]...)
	case "shuffled":
		r.Shuffle(n, func(i, j int) { fake.keys[i], fake.keys[j] = fake.keys[j], fake.keys[i] })
	case "duplicate":
		equal := 2 + r.IntN(2)
		fake.key = func(row int) int { return row / equal }
	case "keyless":
		fake.keyless = true
		set.Keys = nil
		set.Ordered = false
	case "generated":
		fake.generated = true
		fake.filter = "ignores"
	}
	if pick("decodable", "decodable", "undecodable") == "undecodable" && fake.key == nil && !fake.generated {
		fake.undecodable = map[int]bool{}
		if r.IntN(2) == 0 {
			for range r.IntN(12) {
				fake.undecodable[1+r.IntN(60)] = true
			}
		} else {
			for i := range r.IntN(20) {
				fake.undecodable[n-i] = true
			}
		}
	}
	if pick("still", "still", "moving") == "moving" && n > 0 {
		fake.beforeRequest = func(s *service, _ int) { s.changeRows(r) }
		fake.skips = fake.skips || fake.keyless // else each answer may have new rows, and the load may not end
	}
	faultStart := 1 + r.IntN(8)
	faultLength := 1 + r.IntN(2)
	var previous answer
	switch fault := pick("none", "none", "repeated", "empty", "400 once", "400 always", "html", "fewer",
		"lost option"); fault {
	case "none": // the service has no fault
	default:
		fake.fault = func(s *service, number int, target string, correct answer) answer {
			repeatedAnswer := previous
			previous = correct
			isFaulty := number >= faultStart && number < faultStart+faultLength
			switch {
			case fault == "repeated" && isFaulty && number > 1 && repeatedAnswer.status == 200:
				repeatedAnswer.link = correct.link
				repeatedAnswer.count = correct.count
				return repeatedAnswer
			case fault == "empty" && isFaulty && (correct.link != "" || strings.Contains(target, "%20ge%20")):
				correct.keys = nil
			case fault == "lost option" && isFaulty:
				correct.link = lostOption.ReplaceAllString(correct.link, "")
			case fault == "fewer" && isFaulty && len(correct.keys) > 1 && correct.link != "":
				correct.keys = correct.keys[:len(correct.keys)/2]
			case fault == "400 once" && isFaulty, fault == "400 always" && number >= faultStart:
				return answer{status: 400, message: "no"}
			case fault == "html" && isFaulty:
				return answer{status: 404, isHTML: true}
			}
			return correct
		}
	}
	return fake, set, traits
}

// TestComposedServices: whatever a service does, a load that ends with a proof has all rows that existed throughout.
// Otherwise it fails, or it ends without proof. A service that does what OData demands is proven, each row read once.
// Some of the services are of v4.
func TestComposedServices(t *testing.T) {
	t.Parallel()
	verdicts := map[string]int{}
	for seed := range uint64(*composedSeeds) {
		if *onlySeed > 0 && seed != *onlySeed {
			continue
		}
		for _, exactlyOnce := range []bool{false, true} {
			fake, set, traits := composedService(rand.New(rand.NewPCG(seed, 7)))
			set.ExactlyOnce = exactlyOnce
			if seed%dialectStep == 0 {
				setDialect(set, edm.V4)
			}
			description := fmt.Sprint(set.Dialect.Name(), " ", traits, " ", fake)
			originalRows := slices.Clone(fake.keys)
			rows := len(originalRows)
			result, err := fake.load(t, set, nil)
			missing := slices.DeleteFunc(originalRows, func(row int) bool {
				return fake.deleted[row] || slices.Contains(result.numbers, row) || slices.Contains(result.errors, row)
			})
			distinct := len(slices.Compact(slices.Sorted(slices.Values(result.numbers))))
			verdict := "failed"
			if err == nil {
				verdict = result.end.verdict
			}
			verdicts[verdict]++
			isProven := err == nil && verdict != Unproven
			isCounted := fake.count == "filtered" || fake.count == "whole"
			isUncounted := (fake.count == "none" || fake.count == "refused") && fake.page >= 8 && rows > 1
			isPageable := fake.page > 1 && set.Paging != "links" && (rows != 1 || fake.skips)
			isSound := fake.beforeRequest == nil && fake.fault == nil && isPageable && (isCounted || isUncounted) &&
				fake.order == "heeds" && fake.filter == "heeds" && fake.key == nil && !fake.keyless &&
				!fake.generated && fake.undecodable == nil
			switch {
			case isProven && len(missing) > 0 && !fake.ordersByChance():
				t.Fatalf("seed %d, exactly-once %v: complete=%s, but rows %v are missing: %s\n%s", seed, exactlyOnce,
					verdict, missing, description, strings.Join(fake.requests, "\n"))
			case isSound && (!isProven || len(result.rows) != rows):
				t.Fatalf("seed %d, exactly-once %v: found %s with %d rows, expected a proof and each row once, %v: "+
					"%s\n%s", seed, exactlyOnce, verdict, len(result.rows), err, description,
					strings.Join(fake.requests, "\n"))
			case exactlyOnce && err == nil && len(result.numbers) > distinct &&
				fake.fault == nil && fake.key == nil && fake.beforeRequest == nil && fake.skips:
				t.Fatalf("seed %d: rows were read twice, with exactly-once: %s\n%s", seed, description,
					strings.Join(fake.requests, "\n"))
			}
		}
	}
	t.Logf("%v", verdicts)
}
