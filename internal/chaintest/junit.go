package chaintest

import (
	"encoding/xml"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// The report has the format of JUnit's Ant task, as build servers read it, and meets the schemas of Maven Surefire 3.0
// and of Jenkins' xUnit plugin (junit-10.xsd); only xUnit's has file and line. Nothing is skipped; an error that
// prevents a file from running is a failure.
type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Cases    []testCase `xml:"testcase"`

		elapsed time.Duration
	}
	testCase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		File    string   `xml:"file,attr"`
		Line    int      `xml:"line,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure"`
	}
	failure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results into a JUnit file, one suite for each test file.
func WriteJUnit(path string, results []Result) error {
	report := suites{}
	var total time.Duration
	for _, r := range results {
		if len(report.Suites) == 0 || report.Suites[len(report.Suites)-1].Name != r.File {
			report.Suites = append(report.Suites, &suite{Name: r.File})
		}
		s := report.Suites[len(report.Suites)-1]
		// Build servers treat the text after the last dot as a class in a package, so .yaml is removed.
		class := strings.TrimSuffix(r.File, filepath.Ext(r.File))
		c := testCase{Name: r.Name, Class: class, File: r.File, Line: r.Line, Time: seconds(r.Elapsed)}
		if c.Name == "" {
			c.Name = r.File
		}
		s.Tests++
		report.Tests++
		if len(r.Failures) > 0 {
			s.Failures++
			report.Failures++
			first, _, _ := strings.Cut(r.Failures[0].String(), "\n")
			c.Failure = &failure{Message: first, Type: "failure", Text: joinProblems(r.Failures)}
		}
		s.elapsed += r.Elapsed
		s.Time = seconds(s.elapsed)
		total += r.Elapsed
		report.Time = seconds(total)
		s.Cases = append(s.Cases, c)
	}
	out, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.Write(path, append([]byte(xml.Header), append(out, '\n')...))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
