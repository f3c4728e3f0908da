module example/pay

go 1.22
