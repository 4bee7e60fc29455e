package sampling

import (
	"context"
	"fmt"
	"net/http"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/rest"
)

// File is a file for culvert test with the rows of a sample and what the chain makes of them; settings are the chain's
// as they are to stand there. Rows that are too large are not in it.
func (s *Sampler) File(ctx context.Context, connector, id string, c chaintest.Chain,
	settings map[string]string) ([]byte, error) {
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
	chain, err := c.Open(ctx, connector+" (samples)", quiet)
	if err != nil {
		return nil, refuse(http.StatusConflict, "%v", err)
	}
	defer chain.Close()
	f, n := chaintest.Writer{Registry: s.registry, Strike: s.strike}, 0
	for i := range rows {
		r := &rows[i]
		if r.batch == nil {
			continue
		}
		b, o, err := made(ctx, chain, r)
		if err == nil {
			err = f.Add(ctx, r.batch.CopyRow(0), b, &o)
		}
		if err != nil {
			return nil, refuse(http.StatusConflict, "row %d: %v", i+1, err)
		}
		n++
	}
	if n == 0 {
		return nil, refuse(http.StatusConflict, "no row has come yet")
	}
	return f.File("rows of connector "+connector, settings)
}
