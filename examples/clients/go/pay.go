// Pays something, once: go run . INVOICE AMOUNT TO. What the bank has done stands in the file $PAYMENTS.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
)

var tool = json.RawMessage(`{
	"server": "bank",
	"name": "pay",
	"description": "Pay somebody.",
	"schema": {
		"type": "object",
		"properties": {"amount": {"type": "integer"}, "to": {"type": "string"}},
		"required": ["amount", "to"],
		"additionalProperties": false
	}
}`)

type payment struct {
	Amount int    `json:"amount"`
	To     string `json:"to"`
}

func pay(_ context.Context, arguments json.RawMessage) (any, error) {
	var what payment
	if err := json.Unmarshal(arguments, &what); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	file, err := os.OpenFile(cmp.Or(os.Getenv("PAYMENTS"), "payments.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "%d to %s\n", what.Amount, what.To)
	return map[string]int{"paid": what.Amount}, err
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "go run . INVOICE AMOUNT TO")
		os.Exit(2)
	}
	amount, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "AMOUNT is a whole number")
		os.Exit(2)
	}
	patience, err := strconv.ParseFloat(cmp.Or(os.Getenv("GUARDRAIL_PATIENCE"), "600"), 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "GUARDRAIL_PATIENCE is a number of seconds")
		os.Exit(2)
	}
	guardrail := &Guardrail{
		URL:      cmp.Or(os.Getenv("GUARDRAIL_URL"), "http://127.0.0.1:8470"),
		Token:    os.Getenv("GUARDRAIL_TOKEN"),
		Patience: seconds(patience),
	}
	standing, err := guardrail.Run(context.Background(), Call{
		Run: "invoice-" + os.Args[1], ID: "pay", Agent: "payer", Principal: "user:anna", Tool: tool,
		Arguments: payment{Amount: amount, To: os.Args[3]},
	}, pay)
	switch {
	case errors.Is(err, ErrUnavailable):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case standing.State != "returned":
		fmt.Println(standing.State, standing.Text)
		os.Exit(1)
	}
	fmt.Println(standing.State, string(standing.Result))
}
