package main

import (
	"fmt"

	"rfanode/config"
)

type configCmd struct {
	Init configInitCmd `cmd:"" help:"Print the documented example configuration."`
}

type configInitCmd struct{}

func (configInitCmd) Run() error {
	_, err := fmt.Print(config.Example)
	return err
}
