package console

import (
	"github.com/culvert-project/culvert/internal/rest"
)

type lettersPage struct {
	Name, Last, Error string
	rest.Letters
	byCause map[rest.LetterCause][]rest.Letter
	// None says why there are none to show.
	None string
}

func (v *pageRequest) letters() (any, error) {
	name := v.query.Get("name")
	v.title = "Dead letters of " + name
	l := lettersPage{Name: name, Last: v.query.Get("last"), Error: v.query.Get("error")}
	err := v.get("GET /culvert/connectors/{name}/deadletters?"+pairs("last", l.Last, "error", l.Error).Encode(),
		&l.Letters, name)
	if isRefused(err, 404) || isRefused(err, 500) {
		l.None, err = err.Error(), nil
	}
	l.byCause = map[rest.LetterCause][]rest.Letter{}
	for _, one := range l.Letters.Letters {
		l.byCause[one.Cause()] = append(l.byCause[one.Cause()], one)
	}
	return l, err
}

// Of are the letters of a cause.
func (l lettersPage) Of(c rest.LetterCause) []rest.Letter {
	return l.byCause[rest.LetterCause{Class: c.Class, Stage: c.Stage, Message: c.Message}]
}
