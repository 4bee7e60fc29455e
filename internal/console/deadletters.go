package console

import (
	"github.com/culvert-project/culvert/internal/rest"
)

type deadLettersPage struct {
	Name, Show, Cause, After string
	rest.DeadLetterList
	EmptyReason string
}

func (v *pageRequest) deadLetters() (any, error) {
	name := v.query.Get("name")
	v.title = "Dead letters of " + name
	l := deadLettersPage{Name: name, Show: v.query.Get("show"), Cause: v.query.Get("cause"),
		After: v.query.Get("after")}
	err := v.get("GET /culvert/connectors/{name}/deadletters?"+
		pairs("show", l.Show, "cause", l.Cause, "after", l.After).Encode(), &l.DeadLetterList, name)
	if isRefused(err, 404) || isRefused(err, 500) {
		l.EmptyReason, err = err.Error(), nil
	}
	return l, err
}
