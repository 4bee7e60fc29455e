package console

import (
	"github.com/culvert-project/culvert/internal/rest"
)

type deadLettersPage struct {
	Name, Last, Error string
	rest.DeadLetterList
	byCause     map[rest.DeadLetterCause][]rest.DeadLetter
	EmptyReason string
}

func (v *pageRequest) deadLetters() (any, error) {
	name := v.query.Get("name")
	v.title = "Dead letters of " + name
	l := deadLettersPage{Name: name, Last: v.query.Get("last"), Error: v.query.Get("error")}
	err := v.get("GET /culvert/connectors/{name}/deadletters?"+pairs("last", l.Last, "error", l.Error).Encode(),
		&l.DeadLetterList, name)
	if isRefused(err, 404) || isRefused(err, 500) {
		l.EmptyReason, err = err.Error(), nil
	}
	l.byCause = map[rest.DeadLetterCause][]rest.DeadLetter{}
	for _, one := range l.DeadLetterList.DeadLetters {
		l.byCause[one.Cause()] = append(l.byCause[one.Cause()], one)
	}
	return l, err
}

// WithCause returns the dead letters of a cause.
func (l deadLettersPage) WithCause(c rest.DeadLetterCause) []rest.DeadLetter {
	return l.byCause[rest.DeadLetterCause{Class: c.Class, Stage: c.Stage, Message: c.Message}]
}
