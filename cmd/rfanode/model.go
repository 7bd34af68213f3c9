package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"rfanode/analysis/prognosis"
)

// modelCmd looks into model bundles.
type modelCmd struct {
	Verify modelVerifyCmd `cmd:"" help:"Load a bundle as the node would; say why if it is refused."`
	Show   modelShowCmd   `cmd:"" help:"Say what a bundle is, or what it says of one patient."`
}

type modelVerifyCmd struct {
	Bundle string `arg:"" help:"Folder or .zip of the bundle."`
}

func (c *modelVerifyCmd) Run() error {
	b, err := prognosis.Load(c.Bundle)
	if err != nil {
		return err
	}
	fmt.Printf("%s: bundle %s version %s loads; %d members and %d test vectors are right\n", c.Bundle, b.ID, b.Version, len(b.Members), len(b.TestVectors))
	return nil
}

type modelShowCmd struct {
	Bundle string `arg:"" help:"Folder or .zip of the bundle."`
	Values string `placeholder:"JSON" help:"File of a patient's values, e.g. {\"sex\":{\"code\":\"M\"},\"fib\":{\"value\":3.1,\"unit\":\"g/L\"},\"tcr\":{\"value\":0.97}}."`
}

func (c *modelShowCmd) Run() error {
	b, err := prognosis.Load(c.Bundle)
	if err != nil {
		return err
	}
	if c.Values == "" {
		fmt.Print(b.Describe())
		return nil
	}
	data, err := os.ReadFile(c.Values)
	if err != nil {
		return err
	}
	var raw map[string]prognosis.Input
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return fmt.Errorf("%s: %w", c.Values, err)
	}
	p, err := b.Predict(raw)
	if err != nil {
		return err
	}
	fmt.Print(p.Describe())
	return nil
}
