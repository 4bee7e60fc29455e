package sampling

import (
	"context"
	"fmt"
	"net/http"

	"github.com/culvert-project/culvert/host/chaintest"
	"github.com/culvert-project/culvert/host/rest"
)

// File is a file for culvert test with the rows of a sample and what the chain makes of them; settings are the chain's
// as they are to stand there. Rows that are too large are not in it.
func (s *Sampler) File(ctx context.Context, connector, id string, c Chain, settings map[string]string) ([]byte, error) {
	k, rows, err := s.find(connector, id)
	if err != nil {
		return nil, err
	}
	refuse := func(status int, format string, args ...any) error {
		return &rest.Refusal{Status: status, Message: "No test is made of the sample: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case k.Show != rest.RecordsFull:
		return nil, refuse(http.StatusForbidden, "it shows no values")
	case len(c.Stages) == 0:
		return nil, refuse(http.StatusConflict, "there are no transforms")
	}
	ctx, cancel := context.WithTimeout(ctx, computeWithin)
	defer cancel()
	chain, err := c.open(ctx, connector)
	if err != nil {
		return nil, refuse(http.StatusConflict, "%v", err)
	}
	defer chain.close()
	f, n := chaintest.Writer{Registry: s.registry, Strike: s.strike}, 0
	for i := range rows {
		r := &rows[i]
		if r.batch == nil {
			continue
		}
		b, after, err := made(ctx, chain[len(chain)-1].chain, r)
		if err != nil {
			return nil, err
		}
		var failure *chaintest.Failure
		switch {
		case after.fault != "" && after.class == "":
			return nil, refuse(http.StatusConflict, "row %d: the chain does not run: %s", i+1, after.fault)
		case after.fault != "": // a plugin may name a stage that it does not have
			b.Rows = nil
			failure = &chaintest.Failure{Error: after.fault, Class: after.class,
				Stage: c.Stages[min(int(after.stage), len(c.Stages)-1)].Alias}
		}
		if err := f.Add(ctx, r.batch.Copy(0), b, failure); err != nil {
			return nil, refuse(http.StatusConflict, "row %d: %v", i+1, err)
		}
		n++
	}
	if n == 0 {
		return nil, refuse(http.StatusConflict, "no row has come yet")
	}
	return f.File("rows of connector "+connector, settings)
}
